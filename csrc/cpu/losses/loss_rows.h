// The losses over a run of users: list those whose outcome says anything, then pack by pack. Included by
// kernels.cpp alone.
#pragma once

#include <cstring>
#include <limits>

#include "../../core/pifd.h"
#include "../../core/policy.h"
#include "../../core/ppl.h"
#include "../machine/exp.h"
#include "drp_rows.h"
#include "losses.h"
#include "rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Sums of packs, in double.
template <class T>
class WideSum {
 public:
  BIDFCL_HD void add(Pack<T> x) {
    if constexpr (sizeof(T) == 8) {
      sum_ += x;
    } else {
      Doubles low, high;
      widen(x, low, high);
      sum_ += low;
      sum_ += high;
    }
  }
  BIDFCL_HD double total() const {
    double out = 0;
    for (int l = 0; l < kWidth; ++l) out += sum_[l];
    return out;
  }

 private:
  static constexpr int kWidth = BIDFCL_PACK_BYTES / 8;
  typedef double Doubles __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  Doubles sum_{};
};

template <class T>
BIDFCL_HD Pack<T> one_where(IntPack<T> mask) {
  return mask ? Lanes<T>::all(1) : Pack<T>{};
}

// Cuts aligned pieces off the caller's memory.
class Cutter {
 public:
  explicit BIDFCL_HD Cutter(void* from) : at_(static_cast<char*>(from)) {}
  template <class U>
  BIDFCL_HD U* take(std::int64_t count) {
    U* out = reinterpret_cast<U*>(at_);
    at_ += (count * static_cast<std::int64_t>(sizeof(U)) + 63) / 64 * 64;
    return out;
  }

 private:
  char* at_;
};

template <class T>
struct Columns {
  Pack<T>*value, *cost, *value_turn, *cost_turn;  // as read
  Pack<T>*share, *unit, *slope, *turn, *curve;    // of one multiplier
  Pack<T>*value_out, *cost_out;                   // summed over multipliers
  T* tile;                                        // of rows read
  Tile<T> value_rows, cost_rows;                  // of rows to be written
};

template <class T>
BIDFCL_HD GapRule<Pack<T>> gap_rule(const LossRule& rule) {
  using L = Lanes<T>;
  using Limits = std::numeric_limits<T>;
  return {rule.family == kPifdExact, rule.window && rule.bound > 0, L::all(static_cast<T>(rule.bound)),
          L::all(Limits::epsilon()), L::all(sizeof(T) == 4 ? static_cast<T>(1e-30) : static_cast<T>(1e-290))};
}

// What one multiplier adds up over a run.
template <class T>
struct Sums {
  WideSum<T> loss, value_slope, cost_slope, clipped, weighted;

  void finish(double* totals) const {
    totals[kLoss] += loss.total();
    totals[kValueSlope] += value_slope.total();
    totals[kCostSlope] += cost_slope.total();
    totals[kClippedRows] += clipped.total();
    totals[kWeightedRows] += weighted.total();
  }
};

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
        moves_(job.turn != nullptr),
        sums_(sums) {}

  // `first`: nothing is in the outputs yet.
  BIDFCL_HD void take(const Columns<T>& at, int items, I received, P value_label, P cost_label, bool first) {
    const P weight = scale_ * (value_label - price_ * cost_label);
    P* share = at.share;
    for (int j = 0; j < items; ++j) share[j] = fused(at.value[j], at.cost[j]);
    if (rule_.family == kDecision) {
      const I best = decide<P, I>(share, at.cost, items);
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
    softmax(share, items, inverse_temperature_, share);
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
  const P multiplier_, price_, move_, scale_, inverse_temperature_;
  const bool moves_;
  Sums<T>& sums_;
};

// The users of a run that can add something, with treatment and two labels each.
template <class T>
struct Listed {
  std::int32_t *user, *received;
  T *value_label, *cost_label;
  int count = 0;
  std::int64_t astray = 0;  // treatments out of range

  BIDFCL_HD void keep(std::int64_t k, bool counts) {  // entry k moves to the end of what is kept
    user[count] = user[k];
    received[count] = received[k];
    value_label[count] = value_label[k];
    cost_label[count] = cost_label[k];
    count += counts;
  }
};

// weight·label for a run; side by side is a loop of its own, since only that becomes vector code.
template <class T>
BIDFCL_HD void weigh(const Labels<T>& weight, const Labels<T>& label, std::int64_t begin, std::int64_t n, T* out) {
  if (label.data == nullptr) {
    std::memset(out, 0, static_cast<std::size_t>(n) * sizeof(T));
  } else if (weight.stride == 1 && label.stride == 1) {
    const T *w = weight.data + begin, *y = label.data + begin;
    for (std::int64_t k = 0; k < n; ++k) out[k] = w[k] * y[k];
  } else {
    for (std::int64_t k = 0; k < n; ++k) out[k] = weight[begin + k] * label[begin + k];
  }
}

template <class T>
void list_users(const LossJob<T>& job, std::int64_t begin, std::int64_t end, Listed<T>& out) {
  const std::int64_t n = end - begin;
  weigh(job.weight, job.outcome, begin, n, out.value_label);
  weigh(job.weight, job.cost_outcome, begin, n, out.cost_label);
  std::int32_t astray = 0;
  const std::int64_t arms = job.items + (job.rule.family == kDrp);
  const std::int64_t* treatment = job.treatment + begin * job.treatment_stride;
  const auto read = [&](std::int64_t k, std::int64_t t) {
    out.received[k] = static_cast<std::int32_t>(t);
    astray += (t < 0) | (t >= arms);
  };
  if (job.treatment_stride == 1)
    for (std::int64_t k = 0; k < n; ++k) read(k, treatment[k]);
  else
    for (std::int64_t k = 0; k < n; ++k) read(k, treatment[k * job.treatment_stride]);
  out.astray = astray;
  if (astray > 0) return;
  std::int32_t silent = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    out.user[k] = static_cast<std::int32_t>(begin + k);
    silent += (out.value_label[k] == 0) & (out.cost_label[k] == 0);
  }
  out.count = static_cast<int>(n);
  if (silent == 0 && job.open.data == nullptr) return;
  out.count = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    bool counts = (out.value_label[k] != 0) | (out.cost_label[k] != 0);
    // A treatment closed to a user cannot be decided: the row is constant.
    if (counts && job.open.data != nullptr) counts = *element<std::uint8_t>(job.open, begin + k, out.received[k]) != 0;
    out.keep(k, counts);
  }
}

template <class S>
void clear_others(void* out, std::int64_t begin, std::int64_t end, int items, const std::int32_t* user, int listed) {
  S* rows = static_cast<S*>(out);
  std::int64_t i = begin;
  for (int k = 0; k <= listed; ++k) {
    const std::int64_t next = k < listed ? user[k] : end;
    if (next > i) std::memset(rows + i * items, 0, static_cast<std::size_t>((next - i) * items) * sizeof(S));
    i = next + 1;
  }
}

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

  const T never = -std::numeric_limits<T>::infinity();
  for (int done = 0; done < listed.count; done += W) {
    const int users = listed.count - done < W ? listed.count - done : W;
    for (int l = users; l < W; ++l) {  // idle lanes: the last user again, of no weight
      listed.user[done + l] = listed.user[done + users - 1];
      listed.received[done + l] = listed.received[done + users - 1];
      listed.value_label[done + l] = listed.cost_label[done + l] = 0;
    }
    const std::int32_t* user = listed.user + done;
    const Who who{user, users, users == W && user[W - 1] - user[0] == W - 1};
    load_rows<S, T>(job.value, job.open, never, who, items, at.tile, at.value);
    load_rows<S, T>(job.cost, job.open, T{}, who, items, at.tile, at.cost);
    if constexpr (Order == LossOrder::kHessian) {
      load_rows<S, T>(job.value_turn, job.open, T{}, who, items, at.tile, at.value_turn);
      load_rows<S, T>(job.cost_turn, job.open, T{}, who, items, at.tile, at.cost_turn);
    }
    Pack<T> y, x;
    std::memcpy(&y, listed.value_label + done, sizeof y);
    std::memcpy(&x, listed.cost_label + done, sizeof x);
    typedef std::int32_t Narrow __attribute__((vector_size(W * 4)));
    Narrow t;
    std::memcpy(&t, listed.received + done, sizeof t);
    const IntPack<T> received = __builtin_convertvector(t, IntPack<T>);
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
