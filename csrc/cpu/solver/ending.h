// The end of a plan: where the money runs out on the edges in their exact order, what that proves, and `fill`.
#pragma once

#include "../../core/certificate.h"
#include "../../core/search.h"
#include "../../status.h"
#include "kernels.h"

namespace bidfcl {

struct Solution {
  int status;
  double multiplier, value, spend, dual_bound, gap, least_budget, value_unit, cost_unit;
  std::int64_t rows_read, sweeps, active;
};

// The scales of values and costs.
struct Scales {
  FixedPoint value{}, cost{};

  static Scales of(const Largest& largest) {
    return {FixedPoint::for_largest(largest.value), FixedPoint::for_largest(largest.cost)};
  }
};

inline void write_units(const Scales& scales, const Largest& largest, Solution& out) {
  out.value_unit = largest.value > 0 ? scales.value.nearest(1) : 0;
  out.cost_unit = largest.cost > 0 ? scales.cost.nearest(1) : 0;
}

struct Ending {
  Scales scales;
  int128 budget;
  std::int64_t users;
  bool costs_rounded, fill;
};

// `plan` and `choice`: after the first `split` edges, all of which fit. `edge(k)`: the k-th steepest, of `count` that
// are known. `fill` tries those before `end`.
template <class EdgeAt>
void end_plan(const Ending& job, const EdgeAt& edge, std::size_t split, std::size_t end, std::size_t count, Totals plan,
              std::int32_t* choice, Solution& out) {
  int128 bound = plan.value;
  out.multiplier = 0;
  if (split < count) {
    const Edge& e = edge(split);
    const int128 left = job.budget - plan.cost;
    bound = dual_bound(bound, e.value, e.cost, left, job.costs_rounded, job.users);
    out.multiplier = slope_nearest(e.value, e.cost, job.scales.value, job.scales.cost);
  }
  for (std::size_t k = split; job.fill && k < end; ++k) {
    const Edge& e = edge(k);
    if (choice[e.user] != e.start || plan.cost + e.cost > job.budget) continue;
    choice[e.user] = e.stop;
    plan.cost += e.cost;
    plan.value += e.value;
  }
  out.status = kSolved;
  out.value = job.scales.value.nearest(plan.value);
  out.spend = job.scales.cost.nearest(plan.cost);
  out.dual_bound = job.scales.value.above(bound);
  out.gap = job.scales.value.above(bound - plan.value);
}

}  // namespace bidfcl
