// Packs of numbers, one lane a user: the row functions of core run on them unchanged.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../core/config.h"
#include "../core/select.h"
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

// Half of a pack.
template <int First, class Pack, int... I>
BIDFCL_HD auto slice(Pack x, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(x, x, (First + I)...);
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

template <bool Fused, class Num>
BIDFCL_HD Num score(Num value, Num multiplier, Num cost) {
#if BIDFCL_FUSED
  return fused_score(value, multiplier, cost);
#else
  return value - multiplier * cost;
#endif
}

}  // namespace bidfcl
