// Value and gradient at one multiplier, which is what training asks for: scores are turned to columns as one array, and
// one array of gradients is turned back. Included by loss_rows.h alone.
#pragma once

#include "../../core/policy.h"
#include "../../core/ppl.h"
#include "gaps.h"
#include "listed.h"
#include "single_tiles.h"
#include "sums.h"
#include "turn.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T, class S, LossOrder Order>
class SingleMultiplier {
 public:
  using L = Lanes<T>;
  using P = Pack<T>;
  using I = IntPack<T>;

  SingleMultiplier(const LossJob<T>& job, const Listed<T>& listed, const Columns<T>& at, Sums<T>& sums)
      : job_(job),
        listed_(listed),
        at_(at),
        sums_(sums),
        multiplier_(L::all(static_cast<T>(job.multiplier[0]))),
        price_(L::all(static_cast<T>(job.price ? job.price[0] : 0))),
        scale_(L::all(static_cast<T>(job.scale))),
        inverse_temperature_(L::all(static_cast<T>(1 / job.rule.temperature))),
        rate_(L::all(static_cast<T>(kLog2E / job.rule.temperature))),
        gaps_(gap_rule<T>(job.rule)),
        out_(job, multiplier_, reinterpret_cast<T*>(at.value_out)) {}

  void run() {
    if (job_.rule.family != kPpl) return over<true>(job_.items);
    switch (job_.items) {
      case 2:
        return run_of<2>();
      case 3:
        return run_of<3>();
      case 4:
        return run_of<4>();
      case 5:
        return run_of<5>();
      case 8:
        return run_of<8>();
      case 10:
        return run_of<10>();
      default:
        return over<false>(job_.items);
    }
  }

 private:
  static constexpr int W = L::count;

  template <int Items>
  void run_of() {
    if constexpr (sizeof(S) == sizeof(T) && turns_in_registers<T, Items>) {
      const std::integral_constant<int, Items> items{};
      for (int done = 0; done < listed_.count; done += W) {
        const Who who = listed_.pack(done);
        if (!lies_side_by_side<S, T>(job_, who)) {
          one_by_tile(who, items, done);
          continue;
        }
        P rows[Items], share[Items];
        const T *value = cells(job_.value, who), *costs = cells(job_.cost, who);
        fetch_ahead(job_, value, costs, who.user[0]);
        fuse(value, costs, multiplier_, items, reinterpret_cast<T*>(rows));
        turn<Items, false>(rows, share);
        if constexpr (Order == LossOrder::kValue) {
          P cost[Items];
          each_item(items, [&](int k) { rows[k] = pack_at(costs + k * W); });
          turn<Items, false>(rows, cost);
          take(share, cost, items, done);
        } else {
          take(share, nullptr, items, done);
          turn<Items, true>(share, rows);
          out_.send_rows(who, items, rows);
        }
      }
    } else {
      over<false>(job_.items);
    }
  }

  BIDFCL_HD const T* cells(const Grid& grid, const Who& who) const {
    return reinterpret_cast<const T*>(element<S>(grid, who.user[0], 0));
  }

  template <class Items>
  void one_by_tile(const Who& who, Items items, int done) {
    score_rows<S, T>(job_, multiplier_, who, at_.value_rows.cells, at_.tile);
    from_tile<false>(at_.value_rows.cells, who, items, done);
    out_.send();
  }

  // A pack's scores are in their tile while the pack before is at work: what is stored wide and read back in small
  // pieces at once has to wait.
  template <bool Gaps, class Items>
  void over(Items items) {
    T* const tiles[] = {at_.value_rows.cells, at_.cost_rows.cells};
    if (listed_.count > 0) score_rows<S, T>(job_, multiplier_, listed_.pack(0), tiles[0], at_.tile);
    for (int done = 0, turn = 0; done < listed_.count; done += W, turn ^= 1) {
      if (done + W < listed_.count)
        score_rows<S, T>(job_, multiplier_, listed_.pack(done + W), tiles[turn ^ 1], at_.tile);
      from_tile<Gaps>(tiles[turn], listed_.pack(done), items, done);
    }
    out_.send();
  }

  template <bool Gaps, class Items>
  BIDFCL_HD void from_tile(const T* rows, const Who& who, Items items, int done) {
    each_quad<T>(items,
                 [&](int first) { load_columns([&](int l) { return rows + l * items + first; }, at_.share + first); });
    if constexpr (Gaps || Order == LossOrder::kValue)
      load_rows<S, T>(job_.cost, job_.open, T{}, who, items, at_.tile, at_.cost);
    if constexpr (Gaps) take_gaps(at_.share, at_.cost, done);
    else take(at_.share, at_.cost, items, done);
    if constexpr (Order == LossOrder::kGradient) out_.put(who, at_.share);
  }

  // `share` holds the scores, then the gradients in the value.
  template <class Items>
  BIDFCL_HD void take(P* share, const P* cost, Items items, int done) {
    const P y = pack_at(listed_.value_label + done), x = pack_at(listed_.cost_label + done);
    const I received = listed_.received_by(done);
    const P weight = scale_ * (y - price_ * x);
    const P inverse = (P{} + 1) / exponentials(share, items, rate_, share);
    const P own = inverse * ppl_received<P, I>(share, items, received);
    sums_.loss.add(-weight * own);
    if constexpr (Order == LossOrder::kValue) {
      const P falls = inverse_temperature_ * ppl_slope<P, I>(share, inverse, cost, received, items, own);
      sums_.value_slope.add(y * falls);
      sums_.cost_slope.add(x * falls);
      sums_.weighted.add(one_where<T>((y != 0) | (x != 0)));
    } else {
      ppl_gradient<P, I>(share, inverse, weight * inverse_temperature_, received, items, own);
    }
  }

  BIDFCL_HD void take_gaps(P* share, const P* cost, int done) {
    const int items = job_.items;
    const P y = pack_at(listed_.value_label + done), x = pack_at(listed_.cost_label + done);
    const P weight = scale_ * (y - price_ * x);
    const auto speaks = (y != 0) | (x != 0);
    const Decision<P, I> d = pifd_unit<P, I>(share, cost, listed_.received_by(done), items, gaps_,
                                             L::all(-std::numeric_limits<T>::infinity()), at_.unit);
    const P inverse = (P{} + 1) / exponentials(share, items, rate_, share);
    const P mean = inverse * dot(share, at_.unit, items);
    sums_.loss.add(weight * mean);
    if constexpr (Order == LossOrder::kValue) {
      P bends{};
      for (int j = 0; j < items; ++j) bends += share[j] * (at_.unit[j] - mean) * cost[j];
      const P falls = -inverse_temperature_ * inverse * bends;
      sums_.value_slope.add(y * falls);
      sums_.cost_slope.add(x * falls);
      sums_.clipped.add(one_where<T>((d.close != 0) & speaks));
      sums_.weighted.add(one_where<T>(speaks));
    } else {
      const P step = weight * inverse_temperature_ * inverse;
      for (int j = 0; j < items; ++j) share[j] = step * share[j] * (at_.unit[j] - mean);
    }
  }

  const LossJob<T>& job_;
  const Listed<T>& listed_;
  const Columns<T>& at_;
  Sums<T>& sums_;
  const P multiplier_, price_, scale_, inverse_temperature_, rate_;
  const GapRule<P> gaps_;
  Outgoing<S, T> out_;
};

template <class T, class S, LossOrder Order>
void single_multiplier(const LossJob<T>& job, const Listed<T>& listed, const Columns<T>& at, Sums<T>& sums) {
  SingleMultiplier<T, S, Order>(job, listed, at, sums).run();
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
