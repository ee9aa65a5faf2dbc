// Hull edges of many users: for a sample, and for the frontier.
#pragma once

#include <cmath>
#include <vector>

#include "../../core/hull.h"
#include "../../core/search.h"
#include "../machine/for_rows.h"
#include "../machine/lender.h"
#include "kernels.h"
#include "lister.h"

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

// Walks every user, `chunk` of them a thread at a time, and shows each run: see(chunk, users, count, run, edges).
template <class T, class See>
void walk_everybody(const WalkJob<T>& job, std::int64_t chunk, int threads, const See& see) {
  Lender<Lister> listers;
  for_chunks(job.instance.users, chunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    Lender<Lister>::Loan lister(listers);
    lister->prepare(job.instance.items);
    std::vector<Open> users;
    users.reserve(static_cast<std::size_t>(end - begin));
    for (std::int64_t i = begin; i < end; ++i) users.push_back({static_cast<std::int32_t>(i), -1});
    lister->walk(job, users.data(), end - begin,
                 [&](const Open* some, std::int64_t count, const WalkRun& run, std::int64_t edges) {
                   see(k, some, count, run, edges);
                 });
  });
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
