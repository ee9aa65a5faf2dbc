// One shard of a problem that several solve together: in scales that all agreed on, where its users stand at the high
// end of a bracket, and their hull edges inside it.

#include <cmath>
#include <memory>
#include <vector>

#include "../../capi.h"
#include "../../status.h"
#include "edges.h"
#include "pass.h"
#include "problems.h"
#include "survey.h"

namespace bidfcl {
namespace {

struct Between {
  int status = kSolved;
  Totals before;
  std::vector<Edge> edges;
};

// Threads pay from so many numbers on; see kWorthThreads.
template <class T>
int threads_for(const InstanceView<T>& instance, int threads) {
  return instance.users * instance.items < kWorthThreads ? 1 : threads;
}

template <class T>
Edge exact(const InstanceView<T>& instance, const Listed& e, std::int32_t user, const FixedPoint& value_scale,
           const FixedPoint& cost_scale) {
  const RowView<T> row = instance.row(user);
  const std::int64_t value = value_scale(row.value_at(e.stop)) - value_scale(row.value_at(e.start));
  const std::int64_t cost = cost_scale(row.cost_at(e.stop)) - cost_scale(row.cost_at(e.start));
  const double slope = static_cast<double>(value) / static_cast<double>(cost);
  return {slope, value, cost, user, e.position, e.start, e.stop};
}

template <class T>
Between edges_between(const Problems& p, const ShardBracket& asked, int threads, std::int32_t* choice) {
  const InstanceView<T> instance = instance_of<T>(p, 0);
  const auto scale = [](int shift) { return FixedPoint::of_shift(shift); };
  const FixedPoint value_scale = scale(asked.value_shift), cost_scale = scale(asked.cost_shift);
  constexpr int kRoom = kFixedPointBits - kWholeBits;

  PassJob<T> job{};
  job.instance = instance;
  job.bracket = {asked.low, asked.high};
  job.buckets = 1;
  job.everybody = !can_sweep<T>(job.bracket);
  job.value_scale = scale(asked.value_shift - kRoom);
  job.cost_scale = scale(asked.cost_shift - kRoom);
  job.whole = can_count_whole<T>(job.value_scale, job.cost_scale);
  if (!job.whole) {
    job.value_scale = value_scale;
    job.cost_scale = cost_scale;
  }
  job.budget = std::nan("");  // a shard does not know where λ* is: the bracket must stay as it is
  job.choice = choice;
  job.threads = threads_for(instance, threads);

  PassMemory memory;
  PassResult found;
  if (job.everybody) {
    // A pass walks all of the hulls then; here the bracket holds all the same.
    EdgeList all = list_edges(instance, value_scale, cost_scale, job.bracket, job.threads, choice);
    return {all.closed_user ? kNoOpenTreatment : kSolved, all.before, std::move(all.edges)};
  }
  found = std::move(run_passes<T>({job}, {&memory})[0]);
  complete(job, value_scale, cost_scale, found, memory);
  Between out;
  if (found.closed_user) out.status = kNoOpenTreatment;
  out.before = found.before;
  for (const Part& part : memory.parts)
    part.each([&](const Listed& e, std::int32_t user) {
      out.edges.push_back(exact(instance, e, user, value_scale, cost_scale));
    });
  return out;
}

template <class T>
bool rounds_costs(const Problems& p, int cost_shift, int threads) {
  const InstanceView<T> instance = instance_of<T>(p, 0);
  return costs_rounded(instance, largest_of(instance, threads), FixedPoint::of_shift(cost_shift),
                       threads_for(instance, threads));
}

}  // namespace

ShardMagnitudes shard_magnitudes(const Problems& p, int threads) {
  const auto of = [&](const auto& instance) { return largest_of(instance, threads_for(instance, threads)); };
  const Largest largest = is_double(p) ? of(instance_of<double>(p, 0)) : of(instance_of<float>(p, 0));
  return {largest.value, largest.cost, largest.finite};
}

bool shard_costs_rounded(const Problems& p, int cost_shift, int threads) {
  return is_double(p) ? rounds_costs<double>(p, cost_shift, threads) : rounds_costs<float>(p, cost_shift, threads);
}

void* edges_between_new(const Problems& p, const ShardBracket& asked, int threads, std::int32_t* choice) {
  auto out = std::make_unique<Between>(is_double(p) ? edges_between<double>(p, asked, threads, choice)
                                                    : edges_between<float>(p, asked, threads, choice));
  return out.release();
}

EdgesBetween edges_between_found(const void* handle) {
  const Between& found = *static_cast<const Between*>(handle);
  const auto high = [](int128 n) { return static_cast<std::int64_t>(n >> 32); };
  const auto low = [](int128 n) { return static_cast<std::int64_t>(n & 0xffffffff); };
  return {found.status,
          {high(found.before.value), low(found.before.value)},
          {high(found.before.cost), low(found.before.cost)},
          static_cast<std::int64_t>(found.edges.size()),
          found.edges.data()};
}

void edges_between_free(void* handle) { delete static_cast<Between*>(handle); }

}  // namespace bidfcl
