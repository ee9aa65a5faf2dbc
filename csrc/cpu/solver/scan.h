// The scan: the largest magnitudes, and whether every number is finite. Included by kernels.cpp alone.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "../machine/lanes.h"
#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Visits every open cell of one array, in memory order where rows lie side by side. `x`: its cells, by place.
template <class T, class Cells, class Visit>
BIDFCL_HD void each_open_cell_of(const InstanceView<T>& in, const Cells& x, std::int64_t row_stride,
                                 std::int64_t item_stride, std::int64_t begin, std::int64_t end, const Visit& visit) {
  const bool ragged = in.offsets != nullptr;
  if (in.open == nullptr && item_stride == 1 && (ragged || row_stride == in.items)) {
    const std::int64_t first = ragged ? in.offsets[begin] : begin * row_stride;
    const std::int64_t last = ragged ? in.offsets[end] : end * row_stride;
    for (std::int64_t k = first; k < last; ++k) visit(x(k));
    return;
  }
  if (ragged) {
    for (std::int64_t k = in.offsets[begin]; k < in.offsets[end]; ++k)
      if (in.open == nullptr || in.open[k * in.open_item]) visit(x(k * item_stride));
    return;
  }
  for (std::int64_t i = begin; i < end; ++i)
    for (int j = 0; j < in.items; ++j)
      if (in.open == nullptr || in.open[i * in.open_row + j * in.open_item]) visit(x(i * row_stride + j * item_stride));
}

template <class T, class Visit>
BIDFCL_HD void each_open_cell(const InstanceView<T>& in, const void* x, std::int64_t row_stride,
                              std::int64_t item_stride, std::int64_t begin, std::int64_t end, const Visit& visit) {
  if constexpr (sizeof(T) == sizeof(float)) {
    const auto* halves = static_cast<const std::uint16_t*>(x);
    if (in.storage == Stored::kFloat16) {
      each_open_cell_of(
          in, [=](std::int64_t k) { return from_float16(halves[k]); }, row_stride, item_stride, begin, end, visit);
      return;
    }
    if (in.storage == Stored::kBFloat16) {
      each_open_cell_of(
          in, [=](std::int64_t k) { return from_bfloat16(halves[k]); }, row_stride, item_stride, begin, end, visit);
      return;
    }
  }
  const T* own = static_cast<const T*>(x);
  each_open_cell_of(in, [=](std::int64_t k) { return own[k]; }, row_stride, item_stride, begin, end, visit);
}

// Magnitudes compare like the integers that hold them, and so do infinity and NaN, above every number.
template <class T>
struct Magnitudes {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  Bits largest = 0;
  Bits least = ~Bits{0};  // of those that are not zero, minus one: zero wraps to the top

  static BIDFCL_HD Bits of(T x) {
    Bits bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits & (~Bits{0} >> 1);
  }
  BIDFCL_HD void take(T x) {
    const Bits bits = of(x);
    largest = bits > largest ? bits : largest;
  }
  BIDFCL_HD void take_least(T x) {
    const Bits below = of(x) - 1;
    least = below < least ? below : least;
  }
  void join(Bits other_largest, Bits other_least) {
    largest = other_largest > largest ? other_largest : largest;
    least = other_least < least ? other_least : least;
  }
  static double number(Bits bits) {
    T x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
  }
};

// A pack of magnitudes, for a kernel that has the numbers in registers anyway. It takes them for positive: the bits of
// a negative number are larger than those of any positive one, and so show at the end.
struct PackMagnitudes {
  typedef std::uint32_t Bits __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  Bits largest{}, least = ~Bits{};

  BIDFCL_HD void take(Lanes<float>::Pack x) {
    const Bits bits = reinterpret_cast<Bits>(x);
    largest = bits > largest ? bits : largest;
  }
  BIDFCL_HD void take_least(Lanes<float>::Pack x) {
    const Bits below = reinterpret_cast<Bits>(x) - 1;
    least = below < least ? below : least;
  }
  // False if there was a negative number, and nothing else is known.
  bool join_to(Magnitudes<float>& out) const {
    Magnitudes<float> seen;
    for (int l = 0; l < Lanes<float>::count; ++l) seen.join(largest[l], least[l]);
    if (seen.largest >> 31 != 0) return false;
    out.join(seen.largest, seen.least);
    return true;
  }
};

template <class T>
BIDFCL_HD Largest found(const Magnitudes<T>& value, const Magnitudes<T>& cost) {
  using M = Magnitudes<T>;
  Largest out;
  out.finite =
      value.largest <= M::of(std::numeric_limits<T>::max()) && cost.largest <= M::of(std::numeric_limits<T>::max());
  if (!out.finite) return out;
  out.value = M::number(value.largest);
  out.cost = M::number(cost.largest);
  out.least_cost = cost.largest > 0 ? M::number(cost.least + 1) : 0;
  return out;
}

template <class T>
Largest scan(const InstanceView<T>& in, std::int64_t begin, std::int64_t end) {
  using M = Magnitudes<T>;
  M value, cost;
  each_open_cell(in, in.value, in.value_row, in.value_item, begin, end, [&](T x) { value.take(x); });
  each_open_cell(in, in.cost, in.cost_row, in.cost_item, begin, end, [&](T x) {
    cost.take(x);
    cost.take_least(x);
  });
  return found<T>(value, cost);
}

// Whether every open cost is a whole number of units. A double of 2^52 or more always is.
template <class T>
bool whole_units(const InstanceView<T>& in, const FixedPoint& scale, std::int64_t begin, std::int64_t end) {
  constexpr double kWhole = 1ull << 52;
  const double factor = scale.factor, factor_too = scale.factor_too;
  int broken = 0;
  each_open_cell(in, in.cost, in.cost_row, in.cost_item, begin, end, [&](T x) {
    const double size = std::fabs(static_cast<double>(x)) * factor * factor_too;
    const double rounded = (size + kWhole) - kWhole;
    broken |= (size < kWhole) & ((rounded != size) | ((size == 0) & (x != 0)));
  });
  return broken == 0;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
