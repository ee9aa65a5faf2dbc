// Where on the axis of the multiplier the treatment received is a user's decision: always one interval, since every
// other treatment is better on one side of one breakpoint.

#include <cmath>

#include "../../capi.h"
#include "../../core/interval.h"
#include "../machine/for_rows.h"
#include "losses.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kChunk = 8192;

template <class T>
std::int64_t run(const LossCall& c, double* low, double* high) {
  const InstanceView<T> in{c.value,           c.cost,           c.open,           c.value_stride[1],
                           c.value_stride[2], c.cost_stride[1], c.cost_stride[2], c.open_stride[1],
                           c.open_stride[2],  c.users,          c.items};
  const std::int64_t chunks = (c.users + kChunk - 1) / kChunk;
  std::int64_t astray = 0;
  for (std::int64_t i = 0; i < c.users; ++i)
    astray += static_cast<std::uint64_t>(c.treatment[i * c.treatment_stride[1]]) >= static_cast<std::uint64_t>(c.items);
  if (astray > 0) return astray;
  for_chunks(chunks, 1, c.users < kChunk ? 1 : c.threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
    const std::int64_t end = (k + 1) * kChunk < c.users ? (k + 1) * kChunk : c.users;
    for (std::int64_t i = k * kChunk; i < end; ++i) {
      const Interval found =
          decision_interval(in.row(i), static_cast<int>(c.treatment[i * c.treatment_stride[1]]), INFINITY);
      low[i] = found.low;
      high[i] = found.high;
    }
  });
  return 0;
}

}  // namespace

std::int64_t received_intervals(const LossCall& call, double* low, double* high) {
  return call.storage == kStoreFloat64 ? run<double>(call, low, high) : run<float>(call, low, high);
}

}  // namespace bidfcl
