// The gap rule of a finite difference, for packs.
#pragma once

#include <limits>

#include "../../core/pifd.h"
#include "rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T>
BIDFCL_HD GapRule<Pack<T>> gap_rule(const LossRule& rule) {
  using L = Lanes<T>;
  using Limits = std::numeric_limits<T>;
  return {rule.family == kPifdExact, rule.window && rule.bound > 0, L::all(static_cast<T>(rule.bound)),
          L::all(Limits::epsilon()), L::all(sizeof(T) == 4 ? static_cast<T>(1e-30) : static_cast<T>(1e-290))};
}

}  // namespace BIDFCL_ARCH

template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<float>::Pack one_over(BIDFCL_ARCH::Lanes<float>::Pack x) {
#if defined(__AVX512F__)
  // The machine's guess has 14 bits; one step of Newton's makes 27 of them. No step from infinity: it would be NaN.
  const __m512 guess = _mm512_rcp14_ps(x);
  const __m512 off = _mm512_fnmadd_ps(x, guess, _mm512_set1_ps(1));
  return _mm512_mask_fmadd_ps(guess, _mm512_cmp_ps_mask(off, off, _CMP_ORD_Q), off, guess);
#else
  return 1 / x;
#endif
}
template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<double>::Pack one_over(BIDFCL_ARCH::Lanes<double>::Pack x) {
  return 1 / x;
}

}  // namespace bidfcl
