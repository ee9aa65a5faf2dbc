// A pack of halves as floats; see core/half.h. Included by kernels.cpp alone.
#pragma once

#include "../../core/half.h"
#include "lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

typedef std::uint16_t Halves __attribute__((vector_size(BIDFCL_PACK_BYTES / 2)));

template <class Half>
BIDFCL_HD Lanes<float>::Pack widened(Halves halves) {
  using Floats = Lanes<float>::Pack;
  typedef std::int32_t Bits __attribute__((vector_size(BIDFCL_PACK_BYTES)));
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<Half, Float16>) return _mm512_cvtph_ps(reinterpret_cast<__m256i>(halves));
#endif
  const Bits half = __builtin_convertvector(halves, Bits);
  if constexpr (std::is_same_v<Half, BFloat16>) return reinterpret_cast<Floats>(half << 16);
  const Bits size = half & 0x7fff;
  const Floats small = __builtin_convertvector(size, Floats) * (1.0f / (1 << 24));  // if subnormal
  const Bits bias = Bits{} + ((127 - 15) << 23);
  Bits bits = (size << 13) + (size < 0x7c00 ? bias : 2 * bias);  // twice: infinity, NaN
  bits = size < 0x0400 ? reinterpret_cast<Bits>(small) : bits;
  return reinterpret_cast<Floats>(bits | (half & 0x8000) << 16);
}

// Four halves as floats.
template <class Half>
BIDFCL_HD void widen_four(const std::uint16_t* halves, float* out) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<Half, Float16>) {
    const __m128i four = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(halves));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_cvtph_ps(_mm256_castsi128_si256(four))));
    return;
  }
#endif
  for (int k = 0; k < 4; ++k)
    out[k] = std::is_same_v<Half, Float16> ? from_float16(halves[k]) : from_bfloat16(halves[k]);
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
