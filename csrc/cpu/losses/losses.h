// The decision losses' kernels: what a run of users is given, and the table of them.
#pragma once

#include <cstdint>

#include "../../capi.h"
#include "../../core/views.h"
#include "../machine/arch.h"

#ifndef BIDFCL_ARCH
#define BIDFCL_ARCH generic
#endif

namespace bidfcl {

// Storage of the [N, M] arrays: what arithmetic uses, or half of a float.
struct Half {
  std::uint16_t bits;
};
struct Bfloat {
  std::uint16_t bits;
};

// One [N, M] array: where it starts, and its strides in elements.
struct Grid {
  const void* data = nullptr;
  std::int64_t row = 0, item = 0;
};

// One number a user, in the precision of the arithmetic; null: all zero.
template <class T>
struct Labels {
  const T* data;
  std::int64_t stride;

  BIDFCL_HD T operator[](std::int64_t i) const { return data == nullptr ? T{} : data[i * stride]; }
};

// One problem. A row's weight at multiplier k is scale·weight·(outcome − price[k]·cost_outcome).
template <class T>
struct LossJob {
  Grid value, cost, value_turn, cost_turn;
  Grid open;  // bytes; null: every treatment is open
  const std::int64_t* treatment;
  std::int64_t treatment_stride;
  Labels<T> weight, outcome, cost_outcome;
  int items, multipliers;
  const double* multiplier;  // [K]
  const double* price;       // [K] or null: 0
  const double* turn;        // [K] or null: 0; how the multipliers move along the direction of the Hessian
  double scale;
  LossRule rule;
  void* value_out;  // [N, M], rows side by side
  void* cost_out;
  bool stream;  // the outputs are too large to be read again from cache
};

constexpr std::int64_t kLossRows = 1024;  // users a call: few enough that their labels stay in the first cache

// Over users [begin, end), at most kLossRows of them, adds to `totals` [K, kLossTotals]; returns how many treatments
// are out of range. `scratch` holds loss_scratch(items, multipliers) bytes, aligned to 64.
template <class T>
using LossKernel = std::int64_t (*)(const LossJob<T>&, std::int64_t begin, std::int64_t end, double* totals,
                                    void* scratch);

constexpr std::int64_t loss_scratch(std::int64_t items, std::int64_t multipliers) {
  // Eleven columns and three tiles, in packs of up to 64 bytes; five sums a multiplier; the list of users with
  // treatment and two labels; the rounding up of each piece.
  return 14 * 64 * (items + 5) + 5 * 64 * (multipliers + 1) + (kLossRows + 16) * (4 + 4 + 8 + 8) + 64 * 32;
}

template <class T>
struct LossKernels {
  // by storage: that of the arithmetic, half, bfloat16
  LossKernel<T> value[3], grad[3], hvp[3];
};

BIDFCL_TABLES(LossKernels, loss_table, loss_kernels)

}  // namespace bidfcl
