#include "edges.h"

#include <algorithm>
#include <cstdlib>

#include "for_rows.h"
#include "lender.h"
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
                    int threads) {
  const WalkJob<T> job = walk_job(instance, value_scale, cost_scale, {0, INFINITY});
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
    lister->walk(job, users.data(), end - begin, [&](const Open*, std::int64_t, const WalkRun& run, std::int64_t n) {
      auto& part = parts[static_cast<std::size_t>(k)];
      part.insert(part.end(), run.edges, run.edges + n);
      sum.before.add(run.before);
      sum.closed_user |= run.closed_user;
    });
  });
  EdgeList out;
  for (const EdgeList& sum : sums) {
    out.before.add(sum.before);
    out.closed_user |= sum.closed_user;
  }
  out.edges = joined(parts);
  return out;
}

template <class T>
SpendCurve spend_curve(const InstanceView<T>& instance, const std::vector<Open>& users, const FixedPoint& value_scale,
                       const FixedPoint& cost_scale, int threads) {
  WalkJob<T> job = walk_job(instance, value_scale, cost_scale, {0, INFINITY});
  job.label_by_order = job.scattered = true;
  const int to_own = cost_scale.shift - value_scale.shift;
  const double unit = std::ldexp(1.0, -cost_scale.shift);
  const bool plain = std::abs(to_own) < 900;  // else one factor may leave the range of double
  const double own = plain ? std::ldexp(1.0, to_own) : 0;
  const auto count = static_cast<std::int64_t>(users.size());
  std::vector<std::vector<SampleEdge>> parts(static_cast<std::size_t>((count + kChunk - 1) / kChunk));
  std::vector<double> spend(users.size(), 0.0);
  Lender<Lister> listers;
  for_chunks(count, kChunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    Lender<Lister>::Loan lister(listers);
    lister->prepare(instance.items);
    std::vector<SampleEdge>& part = parts[static_cast<std::size_t>(k)];
    std::int64_t done = begin;
    lister->walk(job, users.data() + begin, end - begin,
                 [&](const Open* some, std::int64_t n, const WalkRun& run, std::int64_t edges) {
                   for (std::int64_t i = 0; i < n; ++i)
                     if (run.at[i] >= 0)
                       spend[static_cast<std::size_t>(done + i)] = instance.row(some[i].user).cost_at(run.at[i]);
                   for (const Edge* e = run.edges; e != run.edges + edges; ++e)
                     part.push_back({plain ? e->slope * own : std::ldexp(e->slope, to_own),
                                     static_cast<double>(e->cost) * unit, static_cast<std::int32_t>(done) + e->user});
                   done += n;
                 });
  });
  return SpendCurve(joined(parts), std::move(spend));
}

template EdgeList list_edges(const InstanceView<float>&, const FixedPoint&, const FixedPoint&, int);
template EdgeList list_edges(const InstanceView<double>&, const FixedPoint&, const FixedPoint&, int);
template SpendCurve spend_curve(const InstanceView<float>&, const std::vector<Open>&, const FixedPoint&,
                                const FixedPoint&, int);
template SpendCurve spend_curve(const InstanceView<double>&, const std::vector<Open>&, const FixedPoint&,
                                const FixedPoint&, int);

}  // namespace bidfcl
