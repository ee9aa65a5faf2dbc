// One row's upper concave hull, walked edge by edge: from the cheapest choice, always the steepest next step.
#pragma once

#include "config.h"
#include "fixed.h"
#include "views.h"

namespace bidfcl {

// One step up a hull: `cost` more money for `value` more value (both positive). `position` orders a user's edges.
struct Edge {
  double slope;  // value/cost in fixed-point units, rounded: a filter for the exact comparison
  std::int64_t value, cost;
  std::int32_t user, position, start, stop;
};

// Two rounded slopes further apart than this decide the exact order (each carries three roundings).
constexpr double kSlopeFilter = 1.0 / (1ull << 49);

// Exact order of value_a/cost_a against value_b/cost_b: negative, zero or positive.
BIDFCL_HD int compare_slopes(double slope_a, std::int64_t value_a, std::int64_t cost_a, double slope_b,
                             std::int64_t value_b, std::int64_t cost_b) {
  const double difference = slope_a - slope_b;
  const double doubt = kSlopeFilter * slope_a;
  if (difference > doubt) return 1;
  if (difference < -doubt) return -1;
  const int128 left = static_cast<int128>(value_a) * cost_b, right = static_cast<int128>(value_b) * cost_a;
  return (left > right) - (left < right);
}

// The order in which a budget buys: slope falling, then user, then position.
struct Steeper {
  BIDFCL_HD bool operator()(const Edge& a, const Edge& b) const {
    const int order = compare_slopes(a.slope, a.value, a.cost, b.slope, b.value, b.cost);
    if (order != 0) return order > 0;
    return a.user != b.user ? a.user < b.user : a.position < b.position;
  }
};

// A row in fixed point, and room for a slope a treatment; the caller owns the M numbers of each array.
struct FixedRow {
  std::int64_t* value;
  std::int64_t* cost;
  double* slope;
  int items;
};

// A closed treatment stands here: dearer and worse than any open one, so that no hull goes there.
constexpr std::int64_t kClosed = std::int64_t{1} << 62;

template <class T>
BIDFCL_HD void quantise(const RowView<T>& row, const FixedPoint& value_scale, const FixedPoint& cost_scale,
                        FixedRow& out) {
  if (row.open == nullptr) {
    BIDFCL_ROLLED
    for (int j = 0; j < row.items; ++j) {
      out.value[j] = value_scale(row.value_at(j));
      out.cost[j] = cost_scale(row.cost_at(j));
    }
    return;
  }
  BIDFCL_ROLLED
  for (int j = 0; j < row.items; ++j) {
    const bool open = row.open_at(j);  // what stands in a closed cell may not even be a number
    out.value[j] = open ? value_scale(row.value_at(j)) : -kClosed;
    out.cost[j] = open ? cost_scale(row.cost_at(j)) : kClosed;
  }
}

// Where a hull starts: least cost, then largest value, then smallest index; -1 if nothing is open.
BIDFCL_HD int cheapest(const FixedRow& row) {
  int at = 0;
  BIDFCL_ROLLED
  for (int j = 1; j < row.items; ++j)
    if (row.cost[j] < row.cost[at] || (row.cost[j] == row.cost[at] && row.value[j] > row.value[at])) at = j;
  return row.cost[at] == kClosed ? -1 : at;
}

// The edge that leaves vertex `at`: the steepest, then the cheaper (points on a line stay apart, so that a
// budget can stop at each), then the smallest index. False at the end of the hull.
//
// All slopes first, without a branch, then the few that rounding cannot tell from the steepest.
BIDFCL_HD bool next_edge(const FixedRow& row, int at, Edge& edge) {
  const std::int64_t value_at = row.value[at], cost_at = row.cost[at];
  double steepest = 0;
  BIDFCL_ROLLED
  for (int j = 0; j < row.items; ++j) {
    const std::int64_t value = row.value[j] - value_at, cost = row.cost[j] - cost_at;
    const double rise = static_cast<double>(value > 0 ? value : 0), run = static_cast<double>(cost > 0 ? cost : 1);
    row.slope[j] = cost > 0 ? rise / run : 0;
    steepest = row.slope[j] > steepest ? row.slope[j] : steepest;
  }
  if (!(steepest > 0)) return false;
  const double contender = steepest * (1 - kSlopeFilter);
  edge.stop = -1;
  BIDFCL_ROLLED
  for (int j = 0; j < row.items; ++j) {
    if (row.slope[j] < contender) continue;
    const std::int64_t value = row.value[j] - value_at, cost = row.cost[j] - cost_at;
    if (edge.stop >= 0) {
      const int order = compare_slopes(row.slope[j], value, cost, edge.slope, edge.value, edge.cost);
      if (order < 0 || (order == 0 && cost >= edge.cost)) continue;
    }
    edge.slope = row.slope[j];
    edge.value = value;
    edge.cost = cost;
    edge.stop = j;
  }
  edge.start = at;
  return true;
}

}  // namespace bidfcl
