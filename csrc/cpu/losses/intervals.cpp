// Where on the axis of the multiplier the treatment received is a user's decision: always one interval, since every
// other treatment is better on one side of one breakpoint.

#include <cmath>

#include "../../capi.h"
#include "../machine/for_rows.h"
#include "losses.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kChunk = 8192;

template <class T>
struct Instance {
  Grid value, cost, open;
  int items;

  double at(const Grid& grid, std::int64_t user, int item) const {
    return static_cast<const T*>(grid.data)[user * grid.row + item * grid.item];
  }
  bool closed(std::int64_t user, int item) const {
    return open.data != nullptr && static_cast<const std::uint8_t*>(open.data)[user * open.row + item * open.item] == 0;
  }
};

// low <= λ < high. At a breakpoint the cheaper treatment wins (the tie rule), so an interval contains its low end,
// where its treatment takes over from a dearer one, and not its high end.
template <class T>
void interval(const Instance<T>& in, std::int64_t user, int received, double& low, double& high) {
  const double own_value = in.at(in.value, user, received), own_cost = in.at(in.cost, user, received);
  low = 0;
  high = INFINITY;
  bool ever = !in.closed(user, received);
  for (int j = 0; j < in.items; ++j) {
    if (j == received || in.closed(user, j)) continue;
    const double rise = in.at(in.value, user, j) - own_value, run = in.at(in.cost, user, j) - own_cost;
    const double at = rise / run;
    if (run > 0) low = at > low ? at : low;
    else if (run < 0) high = at < high ? at : high;
    else ever &= rise < 0 || (rise == 0 && received < j);
  }
  if (!(ever && low < high)) low = high = 0;
}

template <class T>
std::int64_t run(const LossCall& c, double* low, double* high) {
  const Instance<T> in{{c.value, c.value_stride[1], c.value_stride[2]},
                       {c.cost, c.cost_stride[1], c.cost_stride[2]},
                       {c.open, c.open_stride[1], c.open_stride[2]},
                       c.items};
  const std::int64_t chunks = (c.users + kChunk - 1) / kChunk;
  std::int64_t astray = 0;
  for (std::int64_t i = 0; i < c.users; ++i)
    astray += static_cast<std::uint64_t>(c.treatment[i * c.treatment_stride[1]]) >= static_cast<std::uint64_t>(c.items);
  if (astray > 0) return astray;
  for_chunks(chunks, 1, c.users < kChunk ? 1 : c.threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
    const std::int64_t end = (k + 1) * kChunk < c.users ? (k + 1) * kChunk : c.users;
    for (std::int64_t i = k * kChunk; i < end; ++i)
      interval(in, i, static_cast<int>(c.treatment[i * c.treatment_stride[1]]), low[i], high[i]);
  });
  return 0;
}

}  // namespace

std::int64_t received_intervals(const LossCall& call, double* low, double* high) {
  return call.storage == kStoreFloat64 ? run<double>(call, low, high) : run<float>(call, low, high);
}

}  // namespace bidfcl
