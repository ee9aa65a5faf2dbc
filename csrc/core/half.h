// Numbers of two bytes as floats. Exact, and by integers alone where a processor may be set to flush subnormal numbers.
#pragma once

#include <cstring>

#include "config.h"

namespace bidfcl {

// How an array's numbers lie in memory: as what they are reckoned with, or as halves that are reckoned with as floats.
enum class Stored : std::uint8_t { kOwn, kFloat16, kBFloat16 };

// Those halves where the type of a pointer says which they are.
struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

BIDFCL_HD float float_of_bits(std::uint32_t bits) {
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

// IEEE 754 binary16: 5 bits of exponent, 10 of mantissa.
BIDFCL_HD float from_float16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16, size = half & 0x7fff;
  const float small = static_cast<float>(static_cast<std::int32_t>(size)) * (1.0f / (1 << 24));  // if subnormal
  std::uint32_t small_bits;
  std::memcpy(&small_bits, &small, sizeof small);
  const std::uint32_t normal = (size << 13) + ((127u - 15u) << 23);
  const std::uint32_t special = (size << 13) | (255u << 23);  // infinity, NaN
  const std::uint32_t bits = size < 0x0400 ? small_bits : (size < 0x7c00 ? normal : special);
  return float_of_bits(bits | sign);
}

// The upper half of a float.
BIDFCL_HD float from_bfloat16(std::uint16_t half) { return float_of_bits(static_cast<std::uint32_t>(half) << 16); }

// Back, to nearest, ties to even.
BIDFCL_HD std::uint16_t to_bfloat16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
  return static_cast<std::uint16_t>(x != x ? 0x7fc0u : rounded);
}

BIDFCL_HD std::uint16_t to_float16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  float size;
  std::memcpy(&size, &bits, sizeof size);
  // Small numbers: adding ½ rounds to subnormal units of 2⁻²⁴. Others: rounded in place, then the exponent is moved.
  const float shifted = size + 0.5f;
  std::uint32_t small;
  std::memcpy(&small, &shifted, sizeof small);
  small -= 0x3f000000u;
  const std::uint32_t normal = (bits + 0xfffu + ((bits >> 13) & 1) - 0x38000000u) >> 13;
  const std::uint32_t finite = bits < 0x38800000u ? small : normal;
  const std::uint32_t beyond = bits > 0x7f800000u ? 0x7e00u : 0x7c00u;
  return static_cast<std::uint16_t>(sign | (bits >= 0x477ff000u ? beyond : finite));
}

template <class T>
BIDFCL_HD T read_cell(const void* cells, std::int64_t at, Stored storage) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (storage != Stored::kOwn) {
      const std::uint16_t half = static_cast<const std::uint16_t*>(cells)[at];
      return storage == Stored::kFloat16 ? from_float16(half) : from_bfloat16(half);
    }
  }
  return static_cast<const T*>(cells)[at];
}

template <class T>
BIDFCL_HD const void* cell_address(const void* cells, std::int64_t at, Stored storage) {
  const std::int64_t bytes = storage == Stored::kOwn ? static_cast<std::int64_t>(sizeof(T)) : 2;
  return static_cast<const char*>(cells) + at * bytes;
}

}  // namespace bidfcl
