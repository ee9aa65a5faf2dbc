// One user's loss and its derivatives, a thread a row: the row functions of core/ over the thread's part of a tile.
#pragma once

#include <limits>
#include <type_traits>

#include "capi.h"
#include "core/drp.h"
#include "core/pifd.h"
#include "core/policy.h"
#include "core/ppl.h"
#include "cuda/machine/numbers.h"
#include "cuda/machine/tile.h"

namespace bidfcl {

// Problem b of an array starts b·problem elements after its data.
struct Grid {
  const void* data;
  std::int64_t problem, row, item;
  Stored storage;

  template <class T>
  BIDFCL_HD Cells of(std::int64_t b) const {
    return {data ? cell_address<T>(data, b * problem, storage) : nullptr, row, item, storage};
  }
};

template <class T>
struct Labels {
  const T* data;
  std::int64_t problem, row;

  BIDFCL_HD T at(std::int64_t b, std::int64_t i) const { return data ? data[b * problem + i * row] : T{}; }
};

template <class T>
struct LossJob {
  Grid value, cost, value_turn, cost_turn, open;  // `open` holds bytes
  const std::int64_t* treatment;
  std::int64_t treatment_problem, treatment_row;
  Labels<T> weight, outcome, cost_outcome;
  std::int64_t count, users;
  int items, multipliers;
  const double *multiplier, *price, *turn, *scale;  // [B, K] and [B], the last three may be null
  LossRule rule;
  void *value_out, *cost_out;  // [B, N, M]
  Stored out;                  // how they are stored
  double* partial;             // [chunks, K, kLossTotals]
  std::uint64_t* astray;       // treatments out of range

  BIDFCL_HD bool is_open(std::int64_t b, std::int64_t i, int j) const {
    return !open.data ||
           static_cast<const std::uint8_t*>(open.data)[b * open.problem + i * open.row + j * open.item] != 0;
  }
};

struct LossSum {
  double total[kLossTotals] = {0, 0, 0, 0, 0};

  BIDFCL_HD void join(const LossSum& other) {
    for (int n = 0; n < kLossTotals; ++n) total[n] += other.total[n];
  }
};

// A thread's row of every array. Several may share memory.
template <class T>
struct LossRow {
  T *value, *cost, *value_turn, *cost_turn, *share, *unit, *turn, *curve;

  static BIDFCL_HD int arrays(LossOrder order) { return order == LossOrder::kHessian ? 8 : 4; }
  static BIDFCL_HD std::int64_t bytes(LossOrder order, int items) {
    return static_cast<std::int64_t>(arrays(order)) * kWarp * row_pitch(items) * static_cast<std::int64_t>(sizeof(T));
  }
  BIDFCL_HD LossRow(char* tile, LossOrder order, int items, int lane) {
    const std::int64_t all = static_cast<std::int64_t>(kWarp) * row_pitch(items);
    T* const at = reinterpret_cast<T*>(tile) + lane * row_pitch(items);
    value = at;
    cost = at + all;
    share = at + 2 * all;
    unit = at + 3 * all;
    const bool hessian = order == LossOrder::kHessian;
    value_turn = hessian ? at + 4 * all : nullptr;
    cost_turn = hessian ? at + 5 * all : nullptr;
    turn = hessian ? at + 6 * all : nullptr;
    curve = hessian ? at + 7 * all : nullptr;
  }
};

template <class T>
BIDFCL_HD GapRule<T> gap_rule(const LossRule& rule) {
  return {rule.family == kPifdExact, rule.window && rule.bound > 0, static_cast<T>(rule.bound),
          std::numeric_limits<T>::epsilon(), sizeof(T) == 4 ? static_cast<T>(1e-30) : static_cast<T>(1e-290)};
}

template <class T>
using IndexOf = typename std::conditional<sizeof(T) == 4, std::int32_t, std::int64_t>::type;

// One row at one multiplier. Afterwards, for a gradient, `unit` holds what goes out for value and `share` what goes out
// for cost; for a Hessian product those are `turn` and `curve`.
template <class T, LossOrder Order>
BIDFCL_HD void loss_row(const LossJob<T>& job, const LossRow<T>& at, std::int64_t b, int k, int received, T value_label,
                        T cost_label, LossSum& sum) {
  const int items = job.items;
  const auto number = [&](const double* x, double otherwise) {
    return static_cast<T>(x ? x[b * job.multipliers + k] : otherwise);
  };
  const T multiplier = number(job.multiplier, 0), price = number(job.price, 0), move = number(job.turn, 0);
  const T scale = static_cast<T>(job.scale ? job.scale[b] : 1.0);
  const T inverse_temperature = static_cast<T>(1 / job.rule.temperature);
  const T rate = static_cast<T>(kLog2E / job.rule.temperature);
  const T weight = scale * (value_label - price * cost_label);
  const bool weighs = value_label != 0 || cost_label != 0;
  const IndexOf<T> own = received;
  BIDFCL_ROLLED
  for (int j = 0; j < items; ++j) at.share[j] = multiply_add(-multiplier, at.cost[j], at.value[j]);
  if (job.rule.family == kDecision) {
    const T matched = winner<T, IndexOf<T>>(at.share, at.cost, items).best == own ? T(1) : T(0);
    sum.total[kLoss] += static_cast<double>(-weight * matched);
    sum.total[kValueSlope] += static_cast<double>(value_label * matched);
    sum.total[kCostSlope] += static_cast<double>(cost_label * matched);
    return;
  }
  if (job.rule.family == kPpl) {
    ppl_unit<T, IndexOf<T>>(own, items, at.unit);
  } else {
    const Decision<T, IndexOf<T>> d = pifd_unit<T, IndexOf<T>>(at.share, at.cost, own, items, gap_rule<T>(job.rule),
                                                               -std::numeric_limits<T>::infinity(), at.unit);
    if (Order == LossOrder::kValue && d.close != 0 && weighs) sum.total[kClippedRows] += 1;
  }
  softmax(at.share, items, rate, at.share);
  const T mean = dot(at.share, at.unit, items);
  if constexpr (Order != LossOrder::kHessian) sum.total[kLoss] += static_cast<double>(weight * mean);
  gradient(at.share, at.unit, mean, items, at.unit);
  if constexpr (Order == LossOrder::kValue) {
    const T falls = -inverse_temperature * dot(at.unit, at.cost, items);  // of the unit loss, as the multiplier rises
    sum.total[kValueSlope] += static_cast<double>(value_label * falls);
    sum.total[kCostSlope] += static_cast<double>(cost_label * falls);
    if (weighs) sum.total[kWeightedRows] += 1;
  } else if constexpr (Order == LossOrder::kGradient) {
    const T step = weight * inverse_temperature;
    BIDFCL_ROLLED
    for (int j = 0; j < items; ++j) {
      const T g = step * at.unit[j];
      at.unit[j] = g;
      at.share[j] = -multiplier * g;
    }
  } else {
    // Along (turn of value, of cost, of λ) the score moves by u = turn of value − λ·turn of cost − turn of λ·cost.
    BIDFCL_ROLLED
    for (int j = 0; j < items; ++j)
      at.turn[j] = multiply_add(-multiplier, at.cost_turn[j], at.value_turn[j]) - (job.turn ? move * at.cost[j] : T{});
    const T mean_turn = dot(at.share, at.turn, items), covariance = dot(at.turn, at.unit, items);
    hessian_vector(at.share, at.unit, at.turn, mean_turn, covariance, items, at.curve);
    const T step = (value_label - price * cost_label) * inverse_temperature;
    const T scaled = scale * step, step_too = scaled * inverse_temperature;
    T bends{};
    BIDFCL_ROLLED
    for (int j = 0; j < items; ++j) {
      const T g = scaled * at.unit[j], h = step_too * at.curve[j];
      bends -= h * at.cost[j] + g * at.cost_turn[j];
      at.turn[j] = h;
      at.curve[j] = -multiplier * h - (job.turn ? move * g : T{});
    }
    sum.total[kLoss] += static_cast<double>(step * covariance);
    sum.total[kValueSlope] += static_cast<double>(bends);
  }
}

}  // namespace bidfcl
