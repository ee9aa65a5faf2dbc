#include "edges.h"

#include <algorithm>
#include <cstdlib>

#include "../machine/for_rows.h"
#include "../machine/lender.h"
#include "lister.h"

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
  Lender<Lister> listers;
  for_chunks(instance.users, kChunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    Lender<Lister>::Loan lister(listers);
    lister->prepare(instance.items);
    std::vector<Open> users;
    users.reserve(static_cast<std::size_t>(end - begin));
    for (std::int64_t i = begin; i < end; ++i) users.push_back({static_cast<std::int32_t>(i), -1});
    EdgeList& sum = sums[static_cast<std::size_t>(k)];
    const auto see = [&](const Open* some, std::int64_t count, const WalkRun& run, std::int64_t n) {
      auto& part = parts[static_cast<std::size_t>(k)];
      part.insert(part.end(), run.edges, run.edges + n);
      sum.before.add(run.before);
      sum.closed_user |= run.closed_user;
      if (choice != nullptr) std::copy(run.at, run.at + count, choice + some->user);
    };
    lister->walk(job, users.data(), end - begin, see);
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
