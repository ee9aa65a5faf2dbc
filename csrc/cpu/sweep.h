// The sweep: every user's choice at both ends of a bracket. Included by kernels.cpp alone.
#pragma once

#include <cstring>
#include <limits>

#include "arch.h"
#include "columns.h"
#include "exact_sum.h"
#include "lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// A closed treatment scores below every open one.
template <class T>
constexpr T kNever = std::numeric_limits<T>::lowest();

template <class T>
using Ends = EndChoices<typename Lanes<T>::Pack, typename Lanes<T>::IntPack>;

// Treatments that lie side by side, none closed: wide loads, and transposes in registers. M >= quad. `value(l)` and
// `cost(l)` are where the treatments of lane l's user start.
template <class T, class Value, class Cost>
BIDFCL_HD void choose_dense(const Value& value, const Cost& cost, int items, typename Lanes<T>::Pack low,
                            typename Lanes<T>::Pack high, Ends<T>& ends) {
  using L = Lanes<T>;
  typename L::IntPack index = L::all_int(0);
  for (int done = 0; done < items; done += L::quad) {
    // The last step reaches back rather than past the end of the row.
    const int first = done + L::quad <= items ? done : items - L::quad;
    typename L::Pack v[L::quad], c[L::quad];
    load_columns([&](int l) { return value(l) + first; }, v);
    load_columns([&](int l) { return cost(l) + first; }, c);
#pragma GCC unroll 4
    for (int k = 0; k < L::quad; ++k) {
      if (first + k < done) continue;  // seen in the step before
      take_both<BIDFCL_FUSED != 0>(ends, v[k], c[k], low, high, index);
      index += 1;
    }
  }
}

// Any strides, any mask, any M: one number at a time into the lanes.
template <class T>
BIDFCL_HD void choose_strided(const InstanceView<T>& in, const std::int32_t* user, typename Lanes<T>::Pack low,
                              typename Lanes<T>::Pack high, Ends<T>& ends) {
  using L = Lanes<T>;
  for (int j = 0; j < in.items; ++j) {
    typename L::Pack value, cost;
    for (int l = 0; l < L::count; ++l) {
      const RowView<T> row = in.row(user[l]);
      const bool open = row.open_at(j);
      value[l] = open ? row.value_at(j) : kNever<T>;
      cost[l] = open ? row.cost_at(j) : 0;
    }
    take_both<BIDFCL_FUSED != 0>(ends, value, cost, low, high, L::all_int(j));
  }
}

// What a sweep carries from one pack of users to the next.
template <class T>
class Sweep {
 public:
  using L = Lanes<T>;
  using Pack = typename L::Pack;
  using IntPack = typename L::IntPack;
  static constexpr int W = L::count;

  BIDFCL_HD Sweep(const SweepJob<T>& job, Active* active)
      : in_(job.instance),
        choice_(job.choice),
        low_(L::all(job.ends.low)),
        high_(L::all(job.ends.high)),
        doubt_low_(L::all(job.ends.doubt_low)),
        doubt_high_(L::all(job.ends.doubt_high)),
        value_(job.value_scale),
        cost_(job.cost_scale),
        active_(active) {}

  // The users first, first + 1, ..., first + W − 1, side by side in memory: `M` treatments each, or M = 0 for any.
  template <int M>
  BIDFCL_HD void take_neighbours(std::int64_t first) {
    const std::int64_t value_row = M ? M : in_.value_row, cost_row = M ? M : in_.cost_row;
    const T* value = in_.value + first * value_row;
    const T* cost = in_.cost + first * cost_row;
    fetch_block_ahead(value, value_row);
    fetch_block_ahead(cost, cost_row);
    Ends<T> ends = start();
    choose_dense<T>([&](int l) { return value + l * value_row; }, [&](int l) { return cost + l * cost_row; },
                    M ? M : in_.items, low_, high_, ends);
    if constexpr (sizeof(T) == 4) {
      std::memcpy(choice_ + first, &ends.high.index, sizeof ends.high.index);
    } else {
      for (int l = 0; l < W; ++l) choice_[first + l] = static_cast<std::int32_t>(ends.high.index[l]);
    }
    settle(ends, ~0u >> (32 - W), [&](int l) { return static_cast<std::int32_t>(first + l); });
  }

  // Up to W users from anywhere; idle lanes repeat the first.
  BIDFCL_HD void take(const std::int32_t* user, int users) {
    Ends<T> ends = start();
    if (in_.value_item == 1 && in_.cost_item == 1 && in_.open == nullptr && in_.items >= L::quad)
      choose_dense<T>([&](int l) { return in_.value + user[l] * in_.value_row; },
                      [&](int l) { return in_.cost + user[l] * in_.cost_row; }, in_.items, low_, high_, ends);
    else choose_strided<T>(in_, user, low_, high_, ends);
    for (int l = 0; l < users; ++l) choice_[user[l]] = static_cast<std::int32_t>(ends.high.index[l]);
    settle(ends, ~0u >> (32 - users), [&](int l) { return user[l]; });
  }

  BIDFCL_HD std::int64_t finish(SweepTotals& totals) const {
    totals.value += value_.total();
    totals.cost += cost_.total();
    return found_;
  }

 private:
  // Where a pass scans a block and then sweeps it, the scan would wait for memory and the sweep for arithmetic: so the
  // sweep asks for the block after its own.
  static BIDFCL_HD void fetch_block_ahead(const T* rows, std::int64_t row) {
    const char* ahead = reinterpret_cast<const char*>(rows + kBlock * row);
    const std::int64_t bytes = W * row * static_cast<std::int64_t>(sizeof(T));
    for (std::int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
  }

  static BIDFCL_HD Ends<T> start() {
    const Best<Pack, IntPack> none{L::all(kNever<T>), L::all(kNever<T>), L::all_int(0)};
    return {none, none, L::all(0), L::all(0), L::all(0)};
  }

  // Adds up the users that are settled, and writes down the others.
  template <class User>
  BIDFCL_HD void settle(const Ends<T>& ends, unsigned present, const User& user) {
    const Pack relative = L::all(std::numeric_limits<T>::epsilon() * 4);
    const IntPack sure_low = certain<BIDFCL_FUSED != 0>(ends.low, ends.reach, low_, relative, doubt_low_);
    const IntPack sure_high = certain<BIDFCL_FUSED != 0>(ends.high, ends.reach, high_, relative, doubt_high_);
    IntPack settled = sure_low & sure_high & (ends.low.index == ends.high.index);
    if (present != ~0u >> (32 - W))
      for (int l = 0; l < W; ++l)
        if (!(present >> l & 1)) settled[l] = 0;
    value_.add(ends.value, settled);
    cost_.add(ends.cost, settled);

    unsigned open = present & ~bits_of(settled);
    if (open == 0) return;
    typename L::Integer low[W], high[W];
    const IntPack low_or_none = ends.low.index | ~sure_low, high_or_none = ends.high.index | ~sure_high;  // −1: unsure
    std::memcpy(low, &low_or_none, sizeof low);
    std::memcpy(high, &high_or_none, sizeof high);
    for (; open != 0; open &= open - 1) {
      const int l = __builtin_ctz(open);
      active_[found_++] = {user(l), static_cast<std::int32_t>(low[l]), static_cast<std::int32_t>(high[l])};
    }
  }

  InstanceView<T> in_;
  std::int32_t* choice_;
  Pack low_, high_, doubt_low_, doubt_high_;
  ExactSum<T> value_, cost_;
  Active* active_;
  std::int64_t found_ = 0;
};

// The whole packs of [at, end), for rows that lie side by side; returns where it stopped.
template <int M, class T>
std::int64_t sweep_neighbours(Sweep<T>& outer, std::int64_t at, std::int64_t end) {
  Sweep<T> sweep = outer;  // in registers
  for (; at + Sweep<T>::W <= end; at += Sweep<T>::W) sweep.template take_neighbours<M>(at);
  outer = sweep;
  return at;
}

template <class T>
std::int64_t sweep(const SweepJob<T>& job, std::int64_t begin, std::int64_t end, SweepTotals& totals, Active* active) {
  constexpr int W = Lanes<T>::count;
  const InstanceView<T>& in = job.instance;
  Sweep<T> state(job, active);
  std::int64_t at = begin;
  if (job.users == nullptr && in.value_item == 1 && in.cost_item == 1 && in.open == nullptr &&
      in.items >= Lanes<T>::quad) {
    const bool packed = in.value_row == in.items && in.cost_row == in.items;
    switch (packed ? in.items : 0) {
      case 4:
        at = sweep_neighbours<4>(state, at, end);
        break;
      case 5:
        at = sweep_neighbours<5>(state, at, end);
        break;
      case 6:
        at = sweep_neighbours<6>(state, at, end);
        break;
      case 8:
        at = sweep_neighbours<8>(state, at, end);
        break;
      case 10:
        at = sweep_neighbours<10>(state, at, end);
        break;
      default:
        at = sweep_neighbours<0>(state, at, end);
    }
  }
  for (; at < end; at += W) {
    const int users = static_cast<int>(end - at < W ? end - at : W);
    std::int32_t user[W];
    for (int l = 0; l < W; ++l) {
      const std::int64_t k = at + (l < users ? l : 0);
      user[l] = static_cast<std::int32_t>(job.users ? job.users[k].user : k);
      if (job.users != nullptr && k + kAhead < end) prefetch(in, job.users[k + kAhead].user);
    }
    state.take(user, users);
  }
  return state.finish(totals);
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
