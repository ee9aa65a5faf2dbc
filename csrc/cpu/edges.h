// Hull edges of many users, listed in parallel and in user order.
#pragma once

#include <vector>

#include "../core/hull.h"
#include "../core/search.h"
#include "arch.h"

namespace bidfcl {

// Edges that a bracket (in fixed-point units of slope) leaves open, and where each user stands before them.
struct EdgeList {
  std::vector<Edge> edges;              // by user, then position
  std::vector<std::int32_t> at;         // choice of the k-th user visited, before its listed edges
  int128 value = 0, cost = 0;           // totals of those choices
  bool closed_user = false;             // some user had no open treatment
};

// A bracket's ends are moved apart by this much when edges are listed: listing one too many never hurts.
constexpr double kSlack = 1.0 / (1ull << 40);

template <class T>
struct EdgeJob {
  InstanceView<T> instance;
  const Active* users;  // null: 0, 1, ...
  std::int64_t count;
  FixedPoint value_scale, cost_scale;
  Bracket bracket;
  int threads;
};

template <class T>
EdgeList list_edges(const EdgeJob<T>& job);

}  // namespace bidfcl
