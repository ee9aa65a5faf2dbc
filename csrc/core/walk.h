// One row's hull, from its cheapest vertex on, as a bracket of slopes cuts it.
#pragma once

#include "config.h"
#include "hull.h"

namespace bidfcl {

// see(edge) for the edges with low <= slope <= high, in order; returns where the row stands before them. `at` is the
// row's cheapest treatment; slopes are in fixed-point units.
template <class See>
BIDFCL_HD int walk_between(FixedRow& row, int at, double low, double high, const See& see) {
  Edge edge{};
  std::int32_t position = 0;
  bool more = next_edge(row, at, edge);
  for (; more && edge.slope > high; ++position) {
    at = edge.stop;
    more = next_edge(row, at, edge);
  }
  const int begin = at;
  for (; more && edge.slope >= low; ++position) {
    edge.position = position;
    see(edge);
    at = edge.stop;
    more = next_edge(row, at, edge);
  }
  return begin;
}

// Where a row stands when all edges that come before `split`, the edge at which money runs out, are bought. `user` is
// the row's own in the order of purchase.
BIDFCL_HD int before_split(FixedRow& row, int at, std::int32_t user, const Edge& split) {
  Edge edge{};
  edge.user = user;
  for (edge.position = 0; next_edge(row, at, edge) && Steeper()(edge, split); ++edge.position) at = edge.stop;
  return at;
}

}  // namespace bidfcl
