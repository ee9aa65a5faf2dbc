#include "edges.h"

#include <algorithm>
#include <cmath>

#include "for_rows.h"

namespace bidfcl {
namespace {

// A thread's scratch: one row in fixed point, and the edges of a run of users.
struct Scratch {
  std::vector<std::int64_t> numbers;
  std::vector<double> slopes;
  std::vector<Edge> edges;

  Scratch(int items, std::int64_t users)
      : numbers(2 * static_cast<std::size_t>(items)),
        slopes(static_cast<std::size_t>(items)),
        edges(static_cast<std::size_t>(std::max<std::int64_t>(1, users * (items - 1)))) {}

  EdgeRun run(std::int32_t* at) {
    const int items = static_cast<int>(slopes.size());
    return {edges.data(), at, {}, false, {numbers.data(), numbers.data() + items, slopes.data(), items}};
  }
};

}  // namespace

template <class T>
EdgeList list_edges(const InstanceView<T>& instance, const Active* users, std::int64_t count,
                    const FixedPoint& value_scale, const FixedPoint& cost_scale, const Bracket& bracket, int threads) {
  const int to_fixed = value_scale.shift - cost_scale.shift;
  const EdgeJob<T> job{instance,
                       users,
                       count,
                       value_scale,
                       cost_scale,
                       std::ldexp(bracket.low * (1 - kSlack), to_fixed),
                       std::ldexp(bracket.high * (1 + kSlack), to_fixed)};
  // Runs small enough that their edges stay in cache; chunks of runs small enough to share among threads.
  const std::int64_t run_users = std::max<std::int64_t>(1, std::min<std::int64_t>(256, 8192 / instance.items));
  const std::int64_t chunk = 4 * run_users;

  std::vector<EdgeList> parts(static_cast<std::size_t>((count + chunk - 1) / chunk));
  EdgeList out;
  out.at.resize(static_cast<std::size_t>(count), -1);
  for_chunks(count, chunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    EdgeList& part = parts[static_cast<std::size_t>(k)];
    Scratch scratch(instance.items, std::min(run_users, end - begin));
    for (std::int64_t at = begin; at < end; at += run_users) {
      EdgeRun run = scratch.run(out.at.data() + at);
      const std::int64_t listed = arch().kernels<T>().walk(job, at, std::min(end, at + run_users), run);
      part.edges.insert(part.edges.end(), run.edges, run.edges + listed);
      part.value += run.before.value;
      part.cost += run.before.cost;
      part.closed_user |= run.closed_user;
    }
  });

  if (parts.size() == 1) {
    parts[0].at.swap(out.at);
    return std::move(parts[0]);
  }
  std::size_t total = 0;
  for (const EdgeList& part : parts) total += part.edges.size();
  out.edges.reserve(total);
  for (EdgeList& part : parts) {
    out.edges.insert(out.edges.end(), part.edges.begin(), part.edges.end());
    out.value += part.value;
    out.cost += part.cost;
    out.closed_user |= part.closed_user;
    std::vector<Edge>().swap(part.edges);
  }
  return out;
}

template EdgeList list_edges(const InstanceView<float>&, const Active*, std::int64_t, const FixedPoint&,
                             const FixedPoint&, const Bracket&, int);
template EdgeList list_edges(const InstanceView<double>&, const Active*, std::int64_t, const FixedPoint&,
                             const FixedPoint&, const Bracket&, int);

}  // namespace bidfcl
