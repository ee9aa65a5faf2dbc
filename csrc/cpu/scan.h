// The scan: the largest magnitudes, and whether every number is finite. Included by kernels.cpp alone.
#pragma once

#include <cstring>
#include <limits>
#include <type_traits>

#include "arch.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Magnitudes compare like the integers that hold them, and so do infinity and NaN, above every number.
template <class T>
std::uint64_t largest_bits(const T* x, std::int64_t row_stride, std::int64_t item_stride, const std::uint8_t* open,
                           std::int64_t open_row, std::int64_t open_item, std::int64_t begin, std::int64_t end,
                           int items) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  constexpr Bits kMagnitude = std::numeric_limits<Bits>::max();
  Bits largest = 0;
  if (open == nullptr && item_stride == 1 && row_stride == items) {
    const T* p = x + begin * row_stride;
    const std::int64_t n = (end - begin) * items;
    for (std::int64_t k = 0; k < n; ++k) {
      Bits bits;
      std::memcpy(&bits, p + k, sizeof bits);
      bits &= kMagnitude;
      largest = bits > largest ? bits : largest;
    }
    return static_cast<std::uint64_t>(largest);
  }
  for (std::int64_t i = begin; i < end; ++i)
    for (int j = 0; j < items; ++j) {
      if (open != nullptr && !open[i * open_row + j * open_item]) continue;
      Bits bits;
      std::memcpy(&bits, x + i * row_stride + j * item_stride, sizeof bits);
      bits &= kMagnitude;
      largest = bits > largest ? bits : largest;
    }
  return static_cast<std::uint64_t>(largest);
}

template <class T>
double magnitude(std::uint64_t bits, bool& finite) {
  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t> narrow = bits;
  T x;
  std::memcpy(&x, &narrow, sizeof x);
  if (!(x <= std::numeric_limits<T>::max())) {
    finite = false;
    return 0;
  }
  return x;
}

template <class T>
Largest scan(const InstanceView<T>& in, std::int64_t begin, std::int64_t end) {
  Largest out;
  out.value = magnitude<T>(
      largest_bits(in.value, in.value_row, in.value_item, in.open, in.open_row, in.open_item, begin, end, in.items),
      out.finite);
  out.cost = magnitude<T>(
      largest_bits(in.cost, in.cost_row, in.cost_item, in.open, in.open_row, in.open_item, begin, end, in.items),
      out.finite);
  return out;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
