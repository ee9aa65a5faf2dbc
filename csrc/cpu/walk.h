// The walk: hull edges of a run of users, one user after the other and the treatments of a row side by side. Included
// by kernels.cpp alone.
#pragma once

#include "arch.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T>
std::int64_t walk(const EdgeJob<T>& job, std::int64_t begin, std::int64_t end, EdgeRun& run) {
  const FixedPoint value_scale = job.value_scale, cost_scale = job.cost_scale;
  std::int64_t count = 0;
  for (std::int64_t n = begin; n < end; ++n) {
    const auto user = static_cast<std::int32_t>(job.users ? job.users[n].user : n);
    if (job.users && n + kAhead < end) prefetch(job.instance, job.users[n + kAhead].user);
    quantise(job.instance.row(user), value_scale, cost_scale, run.row);
    int at = job.users && job.users[n].high >= 0 ? job.users[n].high : cheapest(run.row);
    if (at < 0) {
      run.closed_user = true;
      continue;
    }
    Edge edge;
    edge.user = user;
    bool more = next_edge(run.row, at, edge);
    while (more && edge.slope > job.high) {
      at = edge.stop;
      more = next_edge(run.row, at, edge);
    }
    run.at[n - begin] = at;
    run.before.value += run.row.value[at];
    run.before.cost += run.row.cost[at];
    for (edge.position = 0; more && edge.slope >= job.low; ++edge.position) {
      run.edges[count++] = edge;
      more = next_edge(run.row, edge.stop, edge);
    }
  }
  return count;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
