// One shard of a problem that several solve together: in scales that all agreed on, where its users stand at the high
// end of a bracket, and their hull edges inside it.

#include <cmath>

#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/solver/instances.h"
#include "cuda/solver/reading.h"
#include "shapes.h"
#include "status.h"

namespace bidfcl {
namespace {

// The survey whose scales are those asked for.
Survey agreed(int value_shift, int cost_shift) {
  return {std::ldexp(0.5, kFixedPointBits - value_shift), std::ldexp(0.5, kFixedPointBits - cost_shift), 0, 0};
}

template <class T>
cuda::Between build(const Device& device, const Problems& p, const ShardBracket& asked, std::int32_t* choice) {
  Reading<T> reading(device, instances_of<T>(device, p, 0, 1));
  PassJob<T>& job = reading.job;
  Survey found;
  download(device, &found, job.survey, static_cast<std::int64_t>(sizeof found));
  if (!found.usable()) return {found.broken ? kNotFinite : kNoOpenTreatment, 0, 0, 0, nullptr};
  const Survey scales = agreed(asked.value_shift, asked.cost_shift);
  upload(device, const_cast<Survey*>(job.survey), &scales, static_cast<std::int64_t>(sizeof scales));
  bracket(device, job.in, job.survey, {0, asked.low, asked.high, 0, 0, false}, reading.guessed);
  job.guess = reading.guessed;
  job.choice = choice;
  const std::int64_t users = p.stop[0] - p.start[0];
  reading.make_room(users / 4 + 1024, users / 4 + 1024);
  reading.read();
  const Tally& tally = reading.tallies[0];
  return {kSolved, tally.value.total(), tally.cost.total(), static_cast<std::int64_t>(reading.counts.edges), job.edges};
}

template <class T>
struct CostsRounded : RowBody {
  struct Sum {
    std::uint32_t rounded = 0;
    BIDFCL_HD void join(const Sum& other) { rounded |= other.rounded; }
  };
  Instances<T> in;
  FixedPoint scale;
  std::uint64_t* found;

  BIDFCL_HD std::int64_t users(std::int64_t b) const { return in.users(b); }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, Sum& sum) const {
    const RowView<T> row = in.problem(b).row(i);
    for (int j = 0; j < row.items; ++j)
      sum.rounded |= row.open_at(j) && !scale.is_exact(static_cast<double>(row.cost_at(j)));
  }
  BIDFCL_HD void finish(std::int64_t, std::int64_t, int, const Sum& sum) const {
    if (sum.rounded) atomic_add(found, 1);
  }
};

template <class T>
bool rounds_costs(const Device& device, const Problems& p, int cost_shift) {
  CostsRounded<T> body{};
  body.in = instances_of<T>(device, p, 0, 1);
  body.scale = FixedPoint::of_shift(cost_shift);
  body.found = device.room<std::uint64_t>(1);
  clear(device, body.found, 8);
  launch(device, plan_rows(1, body.in.most, 0, -1, limits_of(device)), body);
  std::uint64_t found = 0;
  download(device, &found, body.found, 8);
  return found > 0;
}

template <class T>
ShardMagnitudes largest(const Device& device, const Problems& p) {
  Survey* const made = device.room<Survey>(1);
  survey(device, instances_of<T>(device, p, 0, 1), made);
  Survey found;
  download(device, &found, made, static_cast<std::int64_t>(sizeof found));
  return {found.value, found.cost, found.broken == 0};
}

}  // namespace

ShardMagnitudes cuda::shard_magnitudes(const Device& device, const Problems& p) {
  const OnDevice use(device);
  return is_double(p) ? largest<double>(device, p) : largest<float>(device, p);
}

bool cuda::shard_costs_rounded(const Device& device, const Problems& p, int cost_shift) {
  const OnDevice use(device);
  return is_double(p) ? rounds_costs<double>(device, p, cost_shift) : rounds_costs<float>(device, p, cost_shift);
}

cuda::Between cuda::edges_between(const Device& device, const Problems& p, const ShardBracket& asked,
                                  std::int32_t* choice) {
  const OnDevice use(device);
  return is_double(p) ? build<double>(device, p, asked, choice) : build<float>(device, p, asked, choice);
}

}  // namespace bidfcl
