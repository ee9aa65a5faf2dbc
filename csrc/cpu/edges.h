// Hull edges of many users, listed in parallel and in user order.
#pragma once

#include <vector>

#include "../core/hull.h"
#include "../core/search.h"
#include "arch.h"

namespace bidfcl {

// Edges that a bracket (in fixed-point units of slope) leaves open, and where each user stands before them.
struct EdgeList {
  std::vector<Edge> edges;       // by user, then position
  std::vector<std::int32_t> at;  // choice of the k-th user visited, before its listed edges
  int128 value = 0, cost = 0;    // totals of those choices
  bool closed_user = false;      // some user had no open treatment
};

// A bracket's ends are moved apart by this much when edges are listed: listing one too many never hurts.
constexpr double kSlack = 1.0 / (1ull << 40);

// Lists the edges of `count` users (all from `users`, or 0, 1, ... if that is null) whose slopes `bracket` leaves open.
template <class T>
EdgeList list_edges(const InstanceView<T>& instance, const Active* users, std::int64_t count,
                    const FixedPoint& value_scale, const FixedPoint& cost_scale, const Bracket& bracket, int threads);

}  // namespace bidfcl
