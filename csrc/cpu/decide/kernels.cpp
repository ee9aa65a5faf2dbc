// One instruction set's kernels of decide.h. Compiled once for each.

#include "../machine/exact_sum.h"
#include "../machine/lanes.h"
#include "../solver/each_column.h"
#include "../solver/scan.h"
#include "decide.h"

namespace bidfcl {
namespace BIDFCL_ARCH {
namespace {

template <class T>
class Decide {
 public:
  using L = Lanes<T>;
  using Pack = typename L::Pack;
  using IntPack = typename L::IntPack;
  static constexpr int W = L::count;

  BIDFCL_HD Decide(const DecideJob<T>& job, std::int32_t* open)
      : in_(job.instance),
        choice_(job.choice),
        multiplier_(L::all(job.multiplier)),
        doubt_(L::all(job.doubt)),
        value_(job.value_scale),
        cost_(job.cost_scale),
        open_(open) {}

  // Users first .. first + W − 1, their treatments side by side, none closed: `M` treatments without a gap, or M = 0
  // for any number from quad on.
  template <int M>
  BIDFCL_HD void take_neighbours(std::int64_t first) {
    const std::int64_t value_row = M ? M : in_.value_row, cost_row = M ? M : in_.cost_row;
    const int items = M ? M : in_.items;
    const T* value = in_.values() + first * value_row;
    const T* cost = in_.costs() + first * cost_row;
    start();
    each_dense_column<T>([&](int l) { return value + l * value_row; }, [&](int l) { return cost + l * cost_row; },
                         items, [&](Pack v, Pack c, IntPack index) BIDFCL_VISIT { see(v, c, index); });
    settle(first, W);
  }

  // Up to W users in any layout; idle lanes repeat the first.
  BIDFCL_HD void take(std::int64_t first, int users) {
    std::int32_t user[W];
    for (int l = 0; l < W; ++l) user[l] = static_cast<std::int32_t>(first + (l < users ? l : 0));
    start();
    each_column<T>(in_, user, [&](Pack v, Pack c, IntPack index) BIDFCL_VISIT { see(v, c, index); });
    settle(first, users);
  }

  BIDFCL_HD std::int64_t finish(Totals& totals) const {
    totals.value += value_.total();
    totals.cost += cost_.total();
    return found_;
  }

 private:
  BIDFCL_HD void start() {
    const Pack never = L::all(kNever<T>);
    best_ = {never, never, L::all_int(0)};
    value_of_ = cost_of_ = reach_ = L::all(0);
  }

  BIDFCL_HD void see(Pack value, Pack cost, IntPack index) {
    const Pack at = score<BIDFCL_FUSED != 0>(value, multiplier_, cost);
    const auto better = at > best_.first;
    value_of_ = better ? value : value_of_;
    cost_of_ = better ? cost : cost_of_;
    best_.take(at, index);
    reach_ = larger(reach_, magnitude(cost));
  }

  // Adds up who is certain, and writes down who is not. The margin counts a rounding of λ·cost: fused scores have
  // none, but λ itself was rounded.
  BIDFCL_HD void settle(std::int64_t first, int users) {
    const Pack relative = L::all(std::numeric_limits<T>::epsilon() * 4);
    IntPack sure = certain_at_high<false>(best_.first, best_.second, reach_, multiplier_, relative, doubt_);
    for (int l = users; l < W; ++l) sure[l] = 0;
    value_.add(value_of_, sure);
    cost_.add(cost_of_, sure);
    for (int l = 0; l < users; ++l) choice_[first + l] = static_cast<std::int32_t>(best_.index[l]);
    for (unsigned open = ~bits_of(sure) & (~0u >> (32 - users)); open != 0; open &= open - 1)
      open_[found_++] = static_cast<std::int32_t>(first + __builtin_ctz(open));
  }

  InstanceView<T> in_;
  std::int32_t* choice_;
  Pack multiplier_, doubt_;
  ExactSum<T> value_, cost_;
  std::int32_t* open_;
  std::int64_t found_ = 0;
  Best<Pack, IntPack> best_;
  Pack value_of_, cost_of_, reach_;
};

// The whole packs of [at, end); returns where it stopped.
template <int M, class T>
std::int64_t decide_neighbours(Decide<T>& outer, std::int64_t at, std::int64_t end) {
  Decide<T> state = outer;  // in registers
  for (; at + Decide<T>::W <= end; at += Decide<T>::W) state.template take_neighbours<M>(at);
  outer = state;
  return at;
}

template <class T>
std::int64_t decide(const DecideJob<T>& job, std::int64_t begin, std::int64_t end, Totals& totals, std::int32_t* open) {
  constexpr int W = Decide<T>::W;
  const InstanceView<T>& in = job.instance;
  Decide<T> state(job, open);
  std::int64_t at = begin;
  if (in.is_plain() && in.items >= Lanes<T>::quad) {
    const bool packed = in.value_row == in.items && in.cost_row == in.items;
    if (packed && in.items == 5) at = decide_neighbours<5>(state, at, end);
    else if (packed && in.items == 8) at = decide_neighbours<8>(state, at, end);
    else if (packed && in.items == 10) at = decide_neighbours<10>(state, at, end);
    else at = decide_neighbours<0>(state, at, end);
  }
  for (; at < end; at += W) state.take(at, static_cast<int>(end - at < W ? end - at : W));
  return state.finish(totals);
}

template <class T>
Seen look(const InstanceView<T>& in, std::int64_t begin, std::int64_t end) {
  Magnitudes<T> value, cost;
  const auto both = [](Magnitudes<T>& m) {
    return [&m](T x) {
      m.take(x);
      m.take_least(x);
    };
  };
  each_open_cell(in, in.value, in.value_row, in.value_item, begin, end, both(value));
  each_open_cell(in, in.cost, in.cost_row, in.cost_item, begin, end, both(cost));
  Seen out;
  out.largest = found<T>(value, cost);
  out.least_value = out.largest.finite && value.largest > 0 ? Magnitudes<T>::number(value.least + 1) : 0;
  return out;
}

}  // namespace

const Table<DecideKernels> decide_table = {{decide<float>, look<float>}, {decide<double>, look<double>}};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
