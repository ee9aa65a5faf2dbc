// Hull edges of many users: for a sample, and for the frontier.
#pragma once

#include <cmath>
#include <vector>

#include "../../core/hull.h"
#include "../../core/search.h"
#include "kernels.h"

namespace bidfcl {

// A bracket's ends are moved apart by this much when edges are listed: listing one too many never hurts.
constexpr double kSlack = 1.0 / (1ull << 40);

template <class T>
WalkJob<T> walk_job(const InstanceView<T>& instance, const FixedPoint& value_scale, const FixedPoint& cost_scale,
                    const Bracket& bracket) {
  const int to_fixed = value_scale.shift - cost_scale.shift;
  return {instance,
          value_scale,
          cost_scale,
          {},
          std::ldexp(bracket.low * (1 - kSlack), to_fixed),
          std::ldexp(bracket.high * (1 + kSlack), to_fixed),
          false};
}

// Hull edges, each user's in order of position, and where the users stand before them.
struct EdgeList {
  std::vector<Edge> edges;
  Totals before;
  bool closed_user = false;  // some user has no open treatment
};

// Every edge inside a bracket, by walking every user; `choice` [N], if given, is where each stands before them.
template <class T>
EdgeList list_edges(const InstanceView<T>& instance, const FixedPoint& value_scale, const FixedPoint& cost_scale,
                    const Bracket& bracket, int threads, std::int32_t* choice = nullptr);

}  // namespace bidfcl
