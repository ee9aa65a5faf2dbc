// The exact budget frontier: every hull edge, by falling slope, and its prefix sums.

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "../../capi.h"
#include "../../status.h"
#include "../machine/sort.h"
#include "edges.h"
#include "problems.h"
#include "survey.h"

namespace bidfcl {
namespace {

struct Frontier {
  int status = kSolved;
  std::vector<double> budget, value, multiplier;
};

template <class T>
Frontier build(const Problems& p, int threads) {
  Frontier out;
  const InstanceView<T> instance = instance_of<T>(p, 0);
  const Largest largest = largest_of(instance, threads);
  if (!largest.finite) {
    out.status = kNotFinite;
    return out;
  }
  const FixedPoint value_scale = FixedPoint::for_largest(largest.value);
  const FixedPoint cost_scale = FixedPoint::for_largest(largest.cost);
  EdgeList list = list_edges(instance, value_scale, cost_scale, {0, INFINITY}, threads);
  if (list.closed_user) {
    out.status = kNoOpenTreatment;
    return out;
  }
  sort_in_parallel(list.edges, Steeper(), threads);

  int128 spend = list.before.cost, value = list.before.value;
  const auto point = [&] {
    out.budget.push_back(cost_scale.nearest(spend));
    out.value.push_back(value_scale.nearest(value));
  };
  point();
  for (std::size_t k = 0; k < list.edges.size(); ++k) {
    const Edge& e = list.edges[k];
    spend += e.cost;
    value += e.value;
    const bool last = k + 1 == list.edges.size();
    if (!last) {
      const Edge& next = list.edges[k + 1];
      if (compare_slopes(e.slope, e.value, e.cost, next.slope, next.value, next.cost) == 0) continue;
    }
    out.multiplier.push_back(slope_nearest(e.value, e.cost, value_scale, cost_scale));
    point();
  }
  out.multiplier.push_back(0);
  return out;
}

}  // namespace

void* frontier_new(const Problems& problems, int threads) {
  auto out = std::make_unique<Frontier>(is_double(problems) ? build<double>(problems, threads)
                                                            : build<float>(problems, threads));
  return out.release();
}

FrontierArrays frontier_arrays(const void* handle) {
  const auto& f = *static_cast<const Frontier*>(handle);
  return {f.status, static_cast<std::int64_t>(f.budget.size()), f.budget.data(), f.value.data(), f.multiplier.data()};
}

void frontier_free(void* handle) { delete static_cast<Frontier*>(handle); }

}  // namespace bidfcl
