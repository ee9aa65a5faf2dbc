// The exact budget frontier: every hull edge, by falling slope, and its running totals.

#include <thrust/copy.h>
#include <thrust/iterator/counting_iterator.h>

#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/machine/ordered.cuh"
#include "cuda/solver/instances.h"
#include "cuda/solver/order.h"
#include "cuda/solver/reading.h"
#include "shapes.h"
#include "status.h"

namespace bidfcl {
namespace {

// Whether edge k is the last of its slope.
struct IsPoint {
  const Listed* edges;
  std::int64_t count;

  BIDFCL_HD bool operator()(std::int64_t k) const {
    if (k + 1 == count) return true;
    const Edge &e = edges[k].edge, &next = edges[k + 1].edge;
    return compare_slopes(e.slope, e.value, e.cost, next.slope, next.value, next.cost) != 0;
  }
};

struct Point {
  const Listed* edges;
  const Running* running;
  const std::int64_t* last;  // [points − 1] the last edge of each slope
  std::int64_t points;
  Limbs value, cost;
  Scales scales;
  double *budget_out, *value_out, *multiplier_out;

  BIDFCL_HD void operator()(std::int64_t m) const {
    const Running before = m > 0 ? running[last[m - 1]] : Running{0, 0};
    budget_out[m] = scales.cost.nearest(cost.total() + before.cost);
    value_out[m] = scales.value.nearest(value.total() + before.value);
    multiplier_out[m] = 0;
    if (m + 1 == points) return;
    const Edge& e = edges[last[m]].edge;
    multiplier_out[m] = slope_nearest(e.value, e.cost, scales.value, scales.cost);
  }
};

template <class T>
cuda::FrontierPoints build(const Device& device, const Problems& p) {
  Reading<T> reading(device, instances_of<T>(device, p, 0, 1));
  reading.read_all(p.stop[0] - p.start[0]);
  const Survey& s = reading.surveys[0];
  if (!s.usable()) return {s.broken ? kNotFinite : kNoOpenTreatment, 0, nullptr, nullptr, nullptr};
  const auto count = static_cast<std::int64_t>(reading.counts.edges);
  Running* const running = device.room<Running>(count);
  order(device, reading.job.edges, count, running);
  std::int64_t* const last = device.room<std::int64_t>(count);
  std::int64_t points = 1;
  if (count > 0)
    points += counted(device, [&](const auto& policy) {
      const thrust::counting_iterator<std::int64_t> all(0);
      return thrust::copy_if(policy, all, all + count, last, IsPoint{reading.job.edges, count}) - last;
    });
  double* const out = device.room<double>(3 * points);
  const Tally& tally = reading.tallies[0];
  const Point point{reading.job.edges, running,    last, points,       tally.value,
                    tally.cost,        s.scales(), out,  out + points, out + 2 * points};
  launch(device, plan_rows(1, points, 0, -1, limits_of(device)), Each<Point>(point, points));
  return {kSolved, points, out, out + points, out + 2 * points};
}

}  // namespace

cuda::FrontierPoints cuda::frontier(const Device& device, const Problems& problems) {
  const OnDevice use(device);
  return is_double(problems) ? build<double>(device, problems) : build<float>(device, problems);
}

}  // namespace bidfcl
