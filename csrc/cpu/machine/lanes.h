// Packs of numbers, one lane a user: the row functions of core run on them unchanged.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "../../core/config.h"
#include "../../core/select.h"
#include "arch.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__FMA__) || defined(__aarch64__)
#define BIDFCL_FUSED 1
#else
#define BIDFCL_FUSED 0
#endif

#if defined(__AVX512F__)
#define BIDFCL_PACK_BYTES 64
#elif defined(__AVX2__)
#define BIDFCL_PACK_BYTES 32
#else
#define BIDFCL_PACK_BYTES 16
#endif

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T>
struct Lanes {
  static constexpr int count = BIDFCL_PACK_BYTES / sizeof(T);
  static constexpr int quad = 16 / sizeof(T);  // elements of 16 bytes: what every instruction set shuffles cheaply
  using Integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef T Pack __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  typedef Integer IntPack __attribute__((vector_size(BIDFCL_PACK_BYTES)));

  static BIDFCL_HD Pack all(T x) { return Pack{} + x; }
  static BIDFCL_HD IntPack all_int(Integer x) { return IntPack{} + x; }
};

// One bit a lane, of a mask whose lanes are all ones or all zeros.
template <class IntPack>
BIDFCL_HD unsigned bits_of(IntPack mask) {
#if defined(__AVX512F__)
  if constexpr (sizeof(mask[0]) == 4) return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask));
  else return _mm512_movepi64_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX2__)
  if constexpr (sizeof(mask[0]) == 4) return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
  else return static_cast<unsigned>(_mm256_movemask_pd(reinterpret_cast<__m256d>(mask)));
#else
  unsigned bits = 0;
  for (unsigned l = 0; l < sizeof mask / sizeof mask[0]; ++l) bits |= static_cast<unsigned>(mask[l] & 1) << l;
  return bits;
#endif
}

}  // namespace BIDFCL_ARCH

// value − multiplier·cost with one rounding, where the target has the instruction. Written out for each, because
// vector extensions have no name for it and compilers take a loop over lanes apart.
#if defined(__AVX512F__)
BIDFCL_HD auto fused_score(__m512 value, __m512 multiplier, __m512 cost) {
  return _mm512_fnmadd_ps(multiplier, cost, value);
}
BIDFCL_HD auto fused_score(__m512d value, __m512d multiplier, __m512d cost) {
  return _mm512_fnmadd_pd(multiplier, cost, value);
}
#elif defined(__FMA__)
BIDFCL_HD auto fused_score(__m256 value, __m256 multiplier, __m256 cost) {
  return _mm256_fnmadd_ps(multiplier, cost, value);
}
BIDFCL_HD auto fused_score(__m256d value, __m256d multiplier, __m256d cost) {
  return _mm256_fnmadd_pd(multiplier, cost, value);
}
#elif defined(__aarch64__)
BIDFCL_HD auto fused_score(float32x4_t value, float32x4_t multiplier, float32x4_t cost) {
  return vfmsq_f32(value, multiplier, cost);
}
BIDFCL_HD auto fused_score(float64x2_t value, float64x2_t multiplier, float64x2_t cost) {
  return vfmsq_f64(value, multiplier, cost);
}
#endif

// The larger and the smaller: by the machine's own instruction, whose result does not wait for a comparison's mask.
// Where one is NaN, the second is the result.
#if defined(__AVX512F__)
BIDFCL_HD auto max_of(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
BIDFCL_HD auto max_of(__m512d a, __m512d b) { return _mm512_max_pd(a, b); }
BIDFCL_HD auto min_of(__m512 a, __m512 b) { return _mm512_min_ps(a, b); }
BIDFCL_HD auto min_of(__m512d a, __m512d b) { return _mm512_min_pd(a, b); }
#elif defined(__AVX2__)
BIDFCL_HD auto max_of(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
BIDFCL_HD auto max_of(__m256d a, __m256d b) { return _mm256_max_pd(a, b); }
BIDFCL_HD auto min_of(__m256 a, __m256 b) { return _mm256_min_ps(a, b); }
BIDFCL_HD auto min_of(__m256d a, __m256d b) { return _mm256_min_pd(a, b); }
#else
template <class Num>
BIDFCL_HD auto max_of(Num a, Num b) {
  return a > b ? a : b;
}
template <class Num>
BIDFCL_HD auto min_of(Num a, Num b) {
  return a < b ? a : b;
}
#endif

template <class Num>
BIDFCL_HD Num larger(Num a, Num b) {
  return max_of(a, b);
}
template <class Num>
BIDFCL_HD Num smaller(Num a, Num b) {
  return min_of(a, b);
}

template <class Num>
BIDFCL_HD Num magnitude(Num a) {
  using Bits = std::conditional_t<sizeof(a[0]) == 4, std::int32_t, std::int64_t>;
  typedef Bits Pack __attribute__((vector_size(sizeof(Num))));
  constexpr Bits kSign = std::numeric_limits<Bits>::min();
  return reinterpret_cast<Num>(reinterpret_cast<Pack>(a) & ~(Pack{} + kSign));
}

// A pack of floats as two of doubles.
#if defined(__AVX512F__)
template <class Doubles>
BIDFCL_HD void widen(__m512 x, Doubles& low, Doubles& high) {
  low = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
  high = _mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
}
#elif defined(__AVX2__)
template <class Doubles>
BIDFCL_HD void widen(__m256 x, Doubles& low, Doubles& high) {
  low = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
  high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}
#else
template <class Floats, class Doubles>
BIDFCL_HD void widen(Floats x, Doubles& low, Doubles& high) {
  low = Doubles{x[0], x[1]};
  high = Doubles{x[2], x[3]};
}
#endif

template <bool Fused, class Num>
BIDFCL_HD Num score(Num value, Num multiplier, Num cost) {
#if BIDFCL_FUSED
  return fused_score(value, multiplier, cost);
#else
  return value - multiplier * cost;
#endif
}

}  // namespace bidfcl
