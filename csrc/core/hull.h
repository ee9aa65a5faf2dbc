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

// A row in fixed point; the caller owns the M integers of each array. A closed treatment has kClosed as its cost.
struct FixedRow {
  std::int64_t* value;
  std::int64_t* cost;
  int items;
};
constexpr std::int64_t kClosed = INT64_MAX;

template <class T>
BIDFCL_HD void quantise(const RowView<T>& row, const FixedPoint& value_scale, const FixedPoint& cost_scale,
                        FixedRow& out) {
  for (int j = 0; j < row.items; ++j) {
    const bool open = row.open_at(j);
    out.value[j] = open ? value_scale(row.value_at(j)) : INT64_MIN;
    out.cost[j] = open ? cost_scale(row.cost_at(j)) : kClosed;
  }
}

// Where a hull starts: least cost, then largest value, then smallest index; -1 if nothing is open.
BIDFCL_HD int cheapest(const FixedRow& row) {
  int at = -1;
  for (int j = 0; j < row.items; ++j) {
    if (row.cost[j] == kClosed) continue;
    if (at < 0 || row.cost[j] < row.cost[at] || (row.cost[j] == row.cost[at] && row.value[j] > row.value[at])) at = j;
  }
  return at;
}

// The edge that leaves vertex `at`: the steepest, then the cheaper (points on a line stay apart, so that a
// budget can stop at each), then the smallest index. False at the end of the hull.
BIDFCL_HD bool next_edge(const FixedRow& row, int at, Edge& edge) {
  edge.stop = -1;
  for (int j = 0; j < row.items; ++j) {
    if (row.cost[j] == kClosed || row.cost[j] <= row.cost[at] || row.value[j] <= row.value[at]) continue;
    const std::int64_t value = row.value[j] - row.value[at], cost = row.cost[j] - row.cost[at];
    const double slope = static_cast<double>(value) / static_cast<double>(cost);
    if (edge.stop >= 0) {
      const int order = compare_slopes(slope, value, cost, edge.slope, edge.value, edge.cost);
      if (order < 0 || (order == 0 && cost >= edge.cost)) continue;
    }
    edge.slope = slope;
    edge.value = value;
    edge.cost = cost;
    edge.stop = j;
  }
  edge.start = at;
  return edge.stop >= 0;
}

}  // namespace bidfcl
