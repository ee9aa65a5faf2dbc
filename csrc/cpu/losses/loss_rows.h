// The losses over a run of users: list those whose outcome says anything, then pack by pack. Included by
// kernels.cpp alone.
#pragma once

#include <cstring>
#include <limits>

#include "../../core/policy.h"
#include "../../core/ppl.h"
#include "../machine/exp.h"
#include "drp_rows.h"
#include "gaps.h"
#include "listed.h"
#include "losses.h"
#include "rows.h"
#include "single_rows.h"
#include "sums.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// One multiplier of one pack of users: adds its part of the outputs and sums.
template <class T, LossOrder Order>
class OneMultiplier {
 public:
  using L = Lanes<T>;
  using P = Pack<T>;
  using I = IntPack<T>;

  BIDFCL_HD OneMultiplier(const LossJob<T>& job, int k, Sums<T>& sums)
      : rule_(job.rule),
        gaps_(gap_rule<T>(job.rule)),
        multiplier_(L::all(static_cast<T>(job.multiplier[k]))),
        price_(L::all(static_cast<T>(job.price ? job.price[k] : 0))),
        move_(L::all(static_cast<T>(job.turn ? job.turn[k] : 0))),
        scale_(L::all(static_cast<T>(job.scale))),
        inverse_temperature_(L::all(static_cast<T>(1 / job.rule.temperature))),
        rate_(L::all(static_cast<T>(kLog2E / job.rule.temperature))),
        moves_(job.turn != nullptr),
        sums_(sums) {}

  // `first`: nothing is in the outputs yet.
  BIDFCL_HD void take(const Columns<T>& at, int items, I received, P value_label, P cost_label, bool first) {
    const P weight = scale_ * (value_label - price_ * cost_label);
    P* share = at.share;
    for (int j = 0; j < items; ++j) share[j] = fused(at.value[j], at.cost[j]);
    if (rule_.family == kDecision) {
      const I best = winner<P, I>(share, at.cost, items).best;
      const P matched = one_where<T>(best == received);
      sums_.loss.add(-weight * matched);
      sums_.value_slope.add(value_label * matched);
      sums_.cost_slope.add(cost_label * matched);
      return;
    }
    if (rule_.family == kPpl) {
      ppl_unit<P, I>(received, items, at.unit);
    } else {
      const Decision<P, I> d =
          pifd_unit<P, I>(share, at.cost, received, items, gaps_, L::all(-std::numeric_limits<T>::infinity()), at.unit);
      if constexpr (Order == LossOrder::kValue)
        sums_.clipped.add(one_where<T>((d.close != 0) & ((value_label != 0) | (cost_label != 0))));
    }
    softmax(share, items, rate_, share);
    const P mean = dot(share, at.unit, items);
    if constexpr (Order != LossOrder::kHessian) sums_.loss.add(weight * mean);
    gradient(share, at.unit, mean, items, at.slope);
    if constexpr (Order == LossOrder::kValue) {
      const P falls = -inverse_temperature_ * dot(at.slope, at.cost, items);  // of the unit loss, as λ rises
      sums_.value_slope.add(value_label * falls);
      sums_.cost_slope.add(cost_label * falls);
      sums_.weighted.add(one_where<T>((value_label != 0) | (cost_label != 0)));
    } else if constexpr (Order == LossOrder::kGradient) {
      const P step = weight * inverse_temperature_;
      for (int j = 0; j < items; ++j) {
        const P g = step * at.slope[j];
        put(at.value_out[j], g, first);
        put(at.cost_out[j], -multiplier_ * g, first);
      }
    } else {
      const P step = (value_label - price_ * cost_label) * inverse_temperature_;
      hessian(at, items, step, first);
    }
  }

 private:
  BIDFCL_HD P fused(P value, P cost) const { return multiply_add<P>(-multiplier_, cost, value); }

  static BIDFCL_HD void put(P& out, P x, bool first) { out = first ? x : out + x; }

  // Along (turn of value, of cost, of λ) the score moves by u = turn of value − λ·turn of cost − turn of λ·cost.
  BIDFCL_HD void hessian(const Columns<T>& at, int items, P step, bool first) {
    for (int j = 0; j < items; ++j) {
      P u = fused(at.value_turn[j], at.cost_turn[j]);
      if (moves_) u = u - move_ * at.cost[j];
      at.turn[j] = u;
    }
    const P mean_turn = dot(at.share, at.turn, items);
    const P covariance = dot(at.turn, at.slope, items);
    hessian_vector(at.share, at.slope, at.turn, mean_turn, covariance, items, at.curve);
    const P scaled = scale_ * step, step_too = scaled * inverse_temperature_;
    P bends{};
    for (int j = 0; j < items; ++j) {
      const P g = scaled * at.slope[j], h = step_too * at.curve[j];
      put(at.value_out[j], h, first);
      P c = -multiplier_ * h;
      if (moves_) c = c - move_ * g;
      put(at.cost_out[j], c, first);
      bends -= h * at.cost[j] + g * at.cost_turn[j];
    }
    sums_.loss.add(step * covariance);
    sums_.value_slope.add(bends);
  }

  const LossRule rule_;
  const GapRule<P> gaps_;
  const P multiplier_, price_, move_, scale_, inverse_temperature_, rate_;
  const bool moves_;
  Sums<T>& sums_;
};

template <class T, class S, LossOrder Order>
std::int64_t loss_rows(const LossJob<T>& job, std::int64_t begin, std::int64_t end, double* totals, void* scratch) {
  constexpr int W = Lanes<T>::count;
  const int items = job.items;
  Cutter cut(scratch);
  Listed<T> listed;
  listed.user = cut.take<std::int32_t>(kLossRows + W);
  listed.received = cut.take<std::int32_t>(kLossRows + W);
  listed.value_label = cut.take<T>(kLossRows + W);
  listed.cost_label = cut.take<T>(kLossRows + W);
  Sums<T>* sums = cut.take<Sums<T>>(job.multipliers);
  for (int k = 0; k < job.multipliers; ++k) sums[k] = Sums<T>{};
  Columns<T> at;
  for (Pack<T>** column : {&at.value, &at.cost, &at.share, &at.unit, &at.slope, &at.value_turn, &at.cost_turn, &at.turn,
                           &at.curve, &at.value_out, &at.cost_out})
    *column = cut.take<Pack<T>>(items + 4);
  for (T** tile : {&at.tile, &at.value_rows.cells, &at.cost_rows.cells})
    *tile = reinterpret_cast<T*>(cut.take<Pack<T>>(items + 4));

  list_users(job, begin, end, listed);
  if (listed.astray > 0) return listed.astray;
  if (job.rule.family == kDrp) {
    if constexpr (Order != LossOrder::kValue) clear_others<S>(job.value_out, begin, end, items, listed.user, 0);
    drp_rows<T, S, Order>(job, listed.user, listed.received, listed.value_label, listed.cost_label, listed.count,
                          sums[0].loss);
    sums[0].finish(totals);
    return 0;
  }
  if constexpr (Order != LossOrder::kValue)
    if (listed.count < end - begin) {
      clear_others<S>(job.value_out, begin, end, items, listed.user, listed.count);
      clear_others<S>(job.cost_out, begin, end, items, listed.user, listed.count);
    }

  if constexpr (Order != LossOrder::kHessian)
    if (job.multipliers == 1 && job.rule.family != kDecision) {
      single_multiplier<T, S, Order>(job, listed, at, sums[0]);
      sums[0].finish(totals);
      return 0;
    }

  const T never = -std::numeric_limits<T>::infinity();
  for (int done = 0; done < listed.count; done += W) {
    const Who who = listed.pack(done);
    load_rows<S, T>(job.value, job.open, never, who, items, at.tile, at.value);
    load_rows<S, T>(job.cost, job.open, T{}, who, items, at.tile, at.cost);
    if constexpr (Order == LossOrder::kHessian) {
      load_rows<S, T>(job.value_turn, job.open, T{}, who, items, at.tile, at.value_turn);
      load_rows<S, T>(job.cost_turn, job.open, T{}, who, items, at.tile, at.cost_turn);
    }
    const Pack<T> y = pack_at(listed.value_label + done), x = pack_at(listed.cost_label + done);
    const IntPack<T> received = listed.received_by(done);
    for (int k = 0; k < job.multipliers; ++k) {
      OneMultiplier<T, Order> one(job, k, sums[k]);
      one.take(at, items, received, y, x, k == 0);
    }
    if constexpr (Order != LossOrder::kValue) {
      store_rows<S, T>(job.value_out, who, job.stream, items, at.value_rows, at.value_out);
      store_rows<S, T>(job.cost_out, who, job.stream, items, at.cost_rows, at.cost_out);
    }
  }
  at.value_rows.send(items);
  at.cost_rows.send(items);
  for (int k = 0; k < job.multipliers; ++k) sums[k].finish(totals + static_cast<std::int64_t>(k) * kLossTotals);
#if defined(__SSE2__)
  if (job.stream) _mm_sfence();
#endif
  return 0;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
