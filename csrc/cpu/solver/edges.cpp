#include "edges.h"

#include <algorithm>

namespace bidfcl {
namespace {

constexpr std::int64_t kChunk = 1024;  // users a thread takes at a time

template <class Thing>
std::vector<Thing> joined(std::vector<std::vector<Thing>>& parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  std::size_t total = 0;
  for (const auto& part : parts) total += part.size();
  std::vector<Thing> out;
  out.reserve(total);
  for (auto& part : parts) {
    out.insert(out.end(), part.begin(), part.end());
    std::vector<Thing>().swap(part);
  }
  return out;
}

}  // namespace

template <class T>
EdgeList list_edges(const InstanceView<T>& instance, const FixedPoint& value_scale, const FixedPoint& cost_scale,
                    const Bracket& bracket, int threads, std::int32_t* choice) {
  const WalkJob<T> job = walk_job(instance, value_scale, cost_scale, bracket);
  std::vector<std::vector<Edge>> parts(static_cast<std::size_t>((instance.users + kChunk - 1) / kChunk));
  std::vector<EdgeList> sums(parts.size());
  walk_everybody(job, kChunk, threads,
                 [&](std::int64_t k, const Open* some, std::int64_t count, const WalkRun& run, std::int64_t n) {
                   EdgeList& sum = sums[static_cast<std::size_t>(k)];
                   auto& part = parts[static_cast<std::size_t>(k)];
                   part.insert(part.end(), run.edges, run.edges + n);
                   sum.before.add(run.before);
                   sum.closed_user |= run.closed_user;
                   if (choice != nullptr) std::copy(run.at, run.at + count, choice + some->user);
                 });
  EdgeList out;
  for (const EdgeList& sum : sums) {
    out.before.add(sum.before);
    out.closed_user |= sum.closed_user;
  }
  out.edges = joined(parts);
  return out;
}

template EdgeList list_edges(const InstanceView<float>&, const FixedPoint&, const FixedPoint&, const Bracket&, int,
                             std::int32_t*);
template EdgeList list_edges(const InstanceView<double>&, const FixedPoint&, const FixedPoint&, const Bracket&, int,
                             std::int32_t*);
}  // namespace bidfcl
