#include "cuda/solver/order.h"

#include <thrust/iterator/transform_iterator.h>
#include <thrust/scan.h>
#include <thrust/sort.h>

#include "cuda/machine/ordered.cuh"

namespace bidfcl {
namespace {

struct Before {
  BIDFCL_HD bool operator()(const Listed& a, const Listed& b) const {
    return a.problem != b.problem ? a.problem < b.problem : Steeper()(a.edge, b.edge);
  }
};

struct OfEdge {
  BIDFCL_HD Running operator()(const Listed& listed) const { return {listed.edge.value, listed.edge.cost}; }
};

struct Plus {
  BIDFCL_HD Running operator()(const Running& a, const Running& b) const {
    return {a.value + b.value, a.cost + b.cost};
  }
};

}  // namespace

void order(const Device& device, Listed* edges, std::int64_t count, Running* running) {
  if (count == 0) return;
  ordered(device, [&](auto policy) {
    thrust::sort(policy, edges, edges + count, Before());
    const auto totals = thrust::make_transform_iterator(edges, OfEdge());
    thrust::inclusive_scan(policy, totals, totals + count, running, Plus());
  });
}

}  // namespace bidfcl
