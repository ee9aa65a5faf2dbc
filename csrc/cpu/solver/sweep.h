// The sweep: every user's choice at both ends of a bracket. Included by kernels.cpp alone.
#pragma once

#include <cstring>
#include <limits>

#include "../machine/columns.h"
#include "../machine/exact_sum.h"
#include "../machine/lanes.h"
#include "each_column.h"
#include "gather.h"
#include "kernels.h"
#include "ragged.h"
#include "scan.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T>
using Ends = EndChoices<typename Lanes<T>::Pack, typename Lanes<T>::IntPack>;

// Rows of unlike length whose treatments lie side by side, none closed: wide loads reach beyond the end of a row, into
// the rows that follow it, and what they find there is closed. `limit`: where the last row ends. False if a load would
// reach beyond that.
template <class T>
BIDFCL_HD bool choose_ragged(const InstanceView<T>& in, const std::int32_t* user, std::int64_t limit,
                             typename Lanes<T>::Pack low, typename Lanes<T>::Pack high, Ends<T>& ends) {
  using L = Lanes<T>;
  typename L::IntPack length{};
  std::int64_t at[L::count], last = 0;
  int longest = 0;
  for (int l = 0; l < L::count; ++l) {
    at[l] = in.offsets[user[l]];
    const int items = in.items_of(user[l]);
    length[l] = items;
    longest = std::max(longest, items);
    last = std::max(last, at[l]);
  }
  if (last + longest + L::quad > limit) return false;
  const typename L::Pack never = L::all(kNever<T>);
  typename L::IntPack index = L::all_int(0);
  for (int first = 0; first < longest; first += L::quad) {
    typename L::Pack v[L::quad], c[L::quad];
    load_columns([&](int l) { return in.values() + at[l] + first; }, v);
    load_columns([&](int l) { return in.costs() + at[l] + first; }, c);
#pragma GCC unroll 4
    for (int k = 0; k < L::quad; ++k, index += 1) {
      const typename L::IntPack has = index < length;
      take_both<BIDFCL_FUSED != 0>(ends, has ? v[k] : never, has ? c[k] : L::all(0), low, high, index);
    }
  }
  return true;
}

// What a sweep carries from one pack of users to the next.
template <class T, bool Whole, bool Scan>
class Sweep {
 public:
  using L = Lanes<T>;
  using Pack = typename L::Pack;
  using IntPack = typename L::IntPack;
  static constexpr int W = L::count;

  BIDFCL_HD Sweep(const SweepJob<T>& job, Open* open)
      : in_(job.instance),
        choice_(job.choice),
        low_(L::all(job.ends.low)),
        high_(L::all(job.ends.high)),
        ends_(job.ends),
        whole_(job.whole),
        value_(job.value_scale),
        cost_(job.cost_scale),
        open_(open) {}

  // The users first, first + 1, ..., first + W − 1, side by side in memory: `M` treatments each, or M = 0 for any.
  template <int M, class Cell>
  BIDFCL_HD void take_neighbours(std::int64_t first) {
    const std::int64_t value_row = M ? M : in_.value_row, cost_row = M ? M : in_.cost_row;
    const Cell* value = static_cast<const Cell*>(in_.value) + first * value_row;
    const Cell* cost = static_cast<const Cell*>(in_.cost) + first * cost_row;
    fetch_ahead(value, W * value_row);
    fetch_ahead(cost, W * cost_row);
    Ends<T> ends = start();
    each_dense_column<T>([&](int l) { return value + l * value_row; }, [&](int l) { return cost + l * cost_row; },
                         M ? M : in_.items,
                         [&](Pack v, Pack c, IntPack index) BIDFCL_VISIT {
                           if constexpr (Scan) {
                             seen_value_.take(v);
                             seen_cost_.take(c);
                             seen_cost_.take_least(c);
                           }
                           take_both<BIDFCL_FUSED != 0>(ends, v, c, low_, high_, index);
                         });
    write_choices(first, W, ends.high.index);
    settle(ends, ~0u >> (32 - W), [&](int l) { return static_cast<std::int32_t>(first + l); });
  }

  // Up to W users whose treatments stand in columns.
  template <int M>
  BIDFCL_HD void take_columns(std::int64_t first, int users, const Pack* value, const Pack* cost) {
    Ends<T> ends = start();
    const int items = M ? M : in_.items;
    typename L::IntPack index = L::all_int(0);
#pragma GCC unroll 10
    for (int j = 0; j < items; ++j, index += 1)
      take_both<BIDFCL_FUSED != 0>(ends, value[j], cost[j], low_, high_, index);
    write_choices(first, users, ends.high.index);
    settle(ends, ~0u >> (32 - users), [&](int l) { return static_cast<std::int32_t>(first + l); });
  }

  // Up to W users in a row, in any layout.
  BIDFCL_HD void take(std::int64_t first, int users) {
    std::int32_t user[W];
    for (int l = 0; l < users; ++l) user[l] = static_cast<std::int32_t>(first + l);
    take_listed(user, users, 0);
  }

  // Up to W users anywhere; idle lanes repeat the first. `limit`: as in choose_ragged, or 0 for any layout.
  BIDFCL_HD void take_listed(const std::int32_t* list, int users, std::int64_t limit) {
    std::int32_t user[W];
    for (int l = 0; l < W; ++l) user[l] = list[l < users ? l : 0];
    Ends<T> ends = start();
    if (limit == 0 || !choose_ragged<T>(in_, user, limit, low_, high_, ends))
      each_column<T>(in_, user, [&](Pack v, Pack c, IntPack index) BIDFCL_VISIT {
        take_both<BIDFCL_FUSED != 0>(ends, v, c, low_, high_, index);
      });
    for (int l = 0; l < users; ++l) choice_[user[l]] = static_cast<std::int32_t>(ends.high.index[l]);
    settle(ends, ~0u >> (32 - users), [&](int l) { return user[l]; });
  }

  BIDFCL_HD std::int64_t finish(std::int64_t begin, std::int64_t end, Totals& totals, Largest& seen) const {
    if constexpr (Scan) {
      Magnitudes<T> value, cost;
      if (seen_value_.join_to(value) && seen_cost_.join_to(cost)) seen.join(found<T>(value, cost));
      else seen.join(scan(in_, begin, end));
    }
    totals.value += value_.total();
    totals.cost += cost_.total();
    return found_;
  }

 private:
  BIDFCL_HD void write_choices(std::int64_t first, int users, const IntPack& index) {
    if (sizeof(T) == 4 && users == W) {
      std::memcpy(choice_ + first, &index, sizeof index);
    } else {
      for (int l = 0; l < users; ++l) choice_[first + l] = static_cast<std::int32_t>(index[l]);
    }
  }

  // Zero, or not below `least`: as one comparison of bits, where zero wraps to the top.
  static BIDFCL_HD IntPack is_whole(Pack x, T least) {
    typedef std::uint32_t Bits __attribute__((vector_size(BIDFCL_PACK_BYTES)));
    const Bits below = reinterpret_cast<Bits>(magnitude(x)) - 1;
    return below >= reinterpret_cast<Bits>(L::all(least)) - 1;
  }

  static BIDFCL_HD Ends<T> start() {
    const Pack never = L::all(kNever<T>);
    return {{never, never, L::all_int(0)}, never, L::all(0), L::all(0), L::all(0)};
  }

  // Adds up the users that are settled, and writes down the others.
  template <class User>
  BIDFCL_HD void settle(const Ends<T>& ends, unsigned present, const User& user) {
    constexpr bool kFused = BIDFCL_FUSED != 0;
    const Pack relative = L::all(std::numeric_limits<T>::epsilon() * 4);
    IntPack settled = settled_between<kFused>(ends, low_, high_, relative, L::all(ends_.doubt_low),
                                              L::all(ends_.doubt_high), L::all(ends_.leverage));
    if constexpr (Whole) settled &= is_whole(ends.value, whole_.least_value) & is_whole(ends.cost, whole_.least_cost);
    if (present != ~0u >> (32 - W))
      for (int l = 0; l < W; ++l)
        if (!(present >> l & 1)) settled[l] = 0;
    value_.add(ends.value, settled);
    cost_.add(ends.cost, settled);

    unsigned open = present & ~bits_of(settled);
    if (open == 0) return;
    const IntPack sure_high = certain_at_high<kFused>(ends.high.first, ends.high.second, ends.reach, high_, relative,
                                                      L::all(ends_.doubt_high));
    typename L::Integer high[W];
    const IntPack high_or_none = ends.high.index | ~sure_high;  // −1: unsure
    std::memcpy(high, &high_or_none, sizeof high);
    for (; open != 0; open &= open - 1) {
      const int l = __builtin_ctz(open);
      open_[found_++] = {user(l), static_cast<std::int32_t>(high[l])};
    }
  }

  InstanceView<T> in_;
  std::int32_t* choice_;
  Pack low_, high_;
  BracketEnds<T> ends_;
  WholeNumbers<T> whole_;
  std::conditional_t<Whole, WholeSum<T>, ExactSum<T>> value_, cost_;
  PackMagnitudes seen_value_, seen_cost_;
  Open* open_;
  std::int64_t found_ = 0;
};

// Some treatments, from `first` on, of a pack of users side by side, in whatever they are stored.
template <class T>
BIDFCL_HD void load_columns_at(const InstanceView<T>& in, const void* cells, std::int64_t row, std::int64_t user,
                               int first, typename Lanes<T>::Pack* columns) {
  const auto load = [&](const auto* all) {
    load_columns([&](int l) { return all + (user + l) * row + first; }, columns);
  };
  if (in.storage == Stored::kOwn) load(static_cast<const T*>(cells));
  else if constexpr (sizeof(T) == sizeof(float)) {
    if (in.storage == Stored::kFloat16) load(static_cast<const Float16*>(cells));
    else load(static_cast<const BFloat16*>(cells));
  }
}

template <class T>
void columns_in_place(const InstanceView<T>& in, std::int64_t begin, std::int64_t end, T* value, T* cost) {
  using L = Lanes<T>;
  constexpr int W = L::count;
  auto* v = reinterpret_cast<typename L::Pack*>(value);
  auto* c = reinterpret_cast<typename L::Pack*>(cost);
  const bool dense = in.is_side_by_side() && in.items >= L::quad;
  for (std::int64_t at = begin; at < end; at += W, v += in.items, c += in.items) {
    if (dense && at + W <= end) {
      for (int done = 0; done < in.items; done += L::quad) {
        const int first = done + L::quad <= in.items ? done : in.items - L::quad;
        load_columns_at(in, in.value, in.value_row, at, first, v + first);
        load_columns_at(in, in.cost, in.cost_row, at, first, c + first);
      }
      continue;
    }
    for (int l = 0; l < W; ++l) {
      const RowView<T> row = in.row(at + l < end ? at + l : at);
      for (int j = 0; j < in.items; ++j) {
        const bool open = row.open_at(j);
        v[j][l] = open ? row.value_at(j) : kNever<T>;
        c[j][l] = open ? row.cost_at(j) : 0;
      }
    }
  }
}

template <class T>
void columns(const InstanceView<T>& in, std::int64_t begin, std::int64_t end, T* value, T* cost, void* scratch) {
  if (scratch == nullptr) return columns_in_place(in, begin, end, value, cost);
  Gather<T> gather(in, scratch);
  for (std::int64_t at = begin, stop; at < end; at = stop) {
    stop = gather.piece(at, end);
    const std::int64_t done = (at - begin) * in.items;
    columns_in_place(gather.view(at, stop), 0, stop - at, value + done, cost + done);
  }
}

// The whole packs of [at, end), for rows that lie side by side; returns where it stopped.
template <int M, class Cell, class Sweep>
std::int64_t sweep_neighbours(Sweep& outer, std::int64_t at, std::int64_t end) {
  Sweep sweep = outer;  // in registers
  for (; at + Sweep::W <= end; at += Sweep::W) sweep.template take_neighbours<M, Cell>(at);
  outer = sweep;
  return at;
}

// The same for the numbers of treatments that have a loop of their own, and for all others.
template <class Cell, class Sweep, class T>
std::int64_t sweep_rows(Sweep& state, const InstanceView<T>& in, std::int64_t at, std::int64_t end) {
  const bool packed = in.value_row == in.items && in.cost_row == in.items;
  switch (packed ? in.items : 0) {
    case 4:
      return sweep_neighbours<4, Cell>(state, at, end);
    case 5:
      return sweep_neighbours<5, Cell>(state, at, end);
    case 6:
      return sweep_neighbours<6, Cell>(state, at, end);
    case 8:
      return sweep_neighbours<8, Cell>(state, at, end);
    case 10:
      return sweep_neighbours<10, Cell>(state, at, end);
    default:
      return sweep_neighbours<0, Cell>(state, at, end);
  }
}

template <int M, class Sweep, class Pack>
void sweep_columns(Sweep& outer, std::int64_t at, std::int64_t end, int items, const Pack* value, const Pack* cost) {
  constexpr int W = Sweep::W;
  Sweep sweep = outer;  // in registers
  for (; at + W <= end; at += W, value += items, cost += items) sweep.template take_columns<M>(at, W, value, cost);
  if (at < end) sweep.template take_columns<M>(at, static_cast<int>(end - at), value, cost);
  outer = sweep;
}

template <class Sweep, class T>
void sweep_ragged(Sweep& outer, const InstanceView<T>& in, std::int64_t begin, std::int64_t end) {
  std::int32_t order[kBlock];
  by_length(in, begin, end, order);
  const std::int64_t limit = in.is_plain() ? in.offsets[in.users] : 0;
  Sweep sweep = outer;  // in registers
  for (std::int64_t at = 0, users; at < end - begin; at += users) {
    users = like_users(in, order + at, std::min<std::int64_t>(Sweep::W, end - begin - at));
    sweep.take_listed(order + at, static_cast<int>(users), limit);
  }
  outer = sweep;
}

template <class T, bool Whole, bool Scan>
std::int64_t sweep_as(const SweepJob<T>& job, std::int64_t begin, std::int64_t end, Totals& totals, Open* open,
                      Largest& seen) {
  constexpr int W = Lanes<T>::count;
  const InstanceView<T>& in = job.instance;
  Sweep<T, Whole, Scan> state(job, open);
  std::int64_t at = begin;
  if (job.value_columns != nullptr) {
    using Pack = typename Lanes<T>::Pack;
    const auto* value = reinterpret_cast<const Pack*>(job.value_columns);
    const auto* cost = reinterpret_cast<const Pack*>(job.cost_columns);
    if (in.items == 5) sweep_columns<5>(state, begin, end, 5, value, cost);
    else if (in.items == 8) sweep_columns<8>(state, begin, end, 8, value, cost);
    else if (in.items == 10) sweep_columns<10>(state, begin, end, 10, value, cost);
    else sweep_columns<0>(state, begin, end, in.items, value, cost);
    return state.finish(begin, begin, totals, seen);
  }
  if (in.offsets != nullptr) {
    if (Scan) seen.join(scan(in, begin, end));  // it reads in order, and leaves the rows in cache
    sweep_ragged(state, in, begin, end);
    return state.finish(begin, begin, totals, seen);
  }
  if (in.is_side_by_side() && in.items >= Lanes<T>::quad) {
    if (in.storage == Stored::kOwn) at = sweep_rows<T>(state, in, at, end);
    else if constexpr (sizeof(T) == sizeof(float))
      at = in.storage == Stored::kFloat16 ? sweep_rows<Float16>(state, in, at, end)
                                          : sweep_rows<BFloat16>(state, in, at, end);
  }
  const std::int64_t side_by_side = at;
  for (; at < end; at += W) state.take(at, static_cast<int>(end - at < W ? end - at : W));
  const std::int64_t found = state.finish(begin, side_by_side, totals, seen);
  if (Scan && side_by_side < end) seen.join(scan(in, side_by_side, end));
  return found;
}

template <class T>
std::int64_t sweep_in_place(const SweepJob<T>& job, std::int64_t begin, std::int64_t end, Totals& totals, Open* open,
                            Largest& seen) {
  if constexpr (sizeof(T) == 4) {
    if (job.scan) return sweep_as<T, true, true>(job, begin, end, totals, open, seen);
    if (job.whole.use) return sweep_as<T, true, false>(job, begin, end, totals, open, seen);
  }
  return sweep_as<T, false, false>(job, begin, end, totals, open, seen);
}

template <class T>
std::int64_t sweep(const SweepJob<T>& job, std::int64_t begin, std::int64_t end, Totals& totals, Open* open,
                   Largest& seen) {
  if (job.scratch == nullptr || job.value_columns != nullptr)
    return sweep_in_place(job, begin, end, totals, open, seen);
  Gather<T> gather(job.instance, job.scratch);
  std::int64_t found = 0;
  for (std::int64_t at = begin, stop; at < end; at = stop) {
    stop = gather.piece(at, end);
    SweepJob<T> some = job;
    some.instance = gather.view(at, stop);
    gather.fetch(stop);
    some.choice = job.choice + at;
    const std::int64_t more = sweep_in_place(some, 0, stop - at, totals, open + found, seen);
    for (std::int64_t k = found; k < found + more; ++k) open[k].user += static_cast<std::int32_t>(at);
    found += more;
  }
  return found;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
