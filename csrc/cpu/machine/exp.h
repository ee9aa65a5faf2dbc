// 2ˣ and eˣ of packs, for softmax and the logistic function: x ≤ 0; and ln(1 + x). No call in the inner loop.
//
// x = n·ln 2 + r with |r| ≤ ln 2 / 2, and eʳ = 1 + r + r²·q(r), q the Chebyshev fit of (eʳ − 1 − r)/r² on that range:
// degree 4 (error 8e-9 of eʳ) in float, 9 (error 2e-17) in double. With rounding, the largest error seen is 1.05
// units in the last place, with and without fused multiply-add (tests/cpp/test_exp.cpp asks for less than 1.5). Below
// `least` the result is exactly 0; NaN stays NaN.
//
// 2ˣ is 2ⁿ·2ᶠ with |f| ≤ ½ found without rounding, 2ᶠ = 1 + f·q(f), q the best fit on that range: degree 5 (error 2e-9)
// in float, 10 (3e-18) in double. Five operations fewer than eˣ; the largest error seen is 1.2 units.
#pragma once

#include <cstring>

#include "../../core/drp.h"
#include "../../core/policy.h"
#include "lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// a·b + c, rounded once where the target can.
template <class Pack>
BIDFCL_HD Pack multiply_add(Pack a, Pack b, Pack c) {
#if BIDFCL_FUSED
  return fused_score(c, -a, b);
#else
  return a * b + c;
#endif
}

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float least = -87.33f;      // e^least is the smallest normal number, rounded up
  static constexpr float shift = 12582912.0f;  // 1.5·2²³: adding it rounds to an integer, in the low bits
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float log2_e = 1.44269504f;
  static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860677e-6f;  // n·ln2_high is exact
  static constexpr float q[] = {0.5f, 0.16666576266288757f, 0.041666556149721146f, 0.008363178931176662f,
                                0.0013926184037700295f};
};

template <>
struct ExpConstants<double> {
  static constexpr double least = -708.39;
  static constexpr double shift = 6755399441055744.0;  // 1.5·2⁵²
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double log2_e = 1.4426950408889634;
  static constexpr double ln2_high = 0.6931471803691238, ln2_low = 1.9082149292705877e-10;
  static constexpr double q[] = {0.5000000000000001,     0.16666666666666669,    0.04166666666662413,
                                 0.008333333333330062,   0.0013888888917213717,  0.00019841269863053618,
                                 2.4801521295954376e-05, 2.7557268459997064e-06, 2.7620088445409746e-07,
                                 2.510038549551032e-08};
};

template <class T>
BIDFCL_HD typename Lanes<T>::Pack exp_pack(typename Lanes<T>::Pack x) {
  using L = Lanes<T>;
  using C = ExpConstants<T>;
  using Pack = typename L::Pack;
  using IntPack = typename L::IntPack;
  const auto gone = x < L::all(C::least);
  x = gone ? L::all(C::least) : x;
  const Pack shifted = multiply_add<Pack>(x, L::all(C::log2_e), L::all(C::shift));
  const Pack n = shifted - C::shift;
  Pack r = multiply_add<Pack>(n, L::all(-C::ln2_high), x);
  r = multiply_add<Pack>(n, L::all(-C::ln2_low), r);
  constexpr int degree = sizeof C::q / sizeof C::q[0] - 1;
  Pack p = L::all(C::q[degree]);
#pragma GCC unroll 16
  for (int k = degree - 1; k >= 0; --k) p = multiply_add<Pack>(p, r, L::all(C::q[k]));
  p = multiply_add<Pack>(p, r * r, r) + 1;
  // 2ⁿ by its bits: the low bits of `shifted` hold n.
  const IntPack power = (reinterpret_cast<IntPack>(shifted) + C::bias) << C::mantissa;
  const Pack y = p * reinterpret_cast<Pack>(power);
  return gone ? Pack{} : y;
}

template <class T>
struct Exp2Constants;

template <>
struct Exp2Constants<float> {
  static constexpr float q[] = {0.6931472f, 0.24022648f, 0.055503324f, 0.009618437f, 0.0013398874f, 0.00015353362f};
};

template <>
struct Exp2Constants<double> {
  static constexpr double q[] = {0.6931471805599453,     0.2402265069591013,     0.055504108664820084,
                                 0.009618129107594074,   0.0013333558146775197,  0.00015403530457178488,
                                 1.5252733492289446e-05, 1.3215435247063428e-06, 1.0178200018618874e-07,
                                 7.073789514811703e-09,  4.4346913121101343e-10};
};

// Below −126.5 (−1022.5) exactly 0: the bits of 2ⁿ at n = −127 (−1023) are all zero, so that nothing has to be
// compared.
template <class T>
BIDFCL_HD typename Lanes<T>::Pack exp2_pack(typename Lanes<T>::Pack x) {
  using L = Lanes<T>;
  using C = ExpConstants<T>;
  using Q = Exp2Constants<T>;
  using Pack = typename L::Pack;
  using IntPack = typename L::IntPack;
  x = larger(L::all(-C::bias), x);
  const Pack shifted = x + C::shift;
  const Pack f = x - (shifted - C::shift);
  constexpr int degree = sizeof Q::q / sizeof Q::q[0] - 1;
  Pack p = L::all(Q::q[degree]);
#pragma GCC unroll 16
  for (int k = degree - 1; k >= 0; --k) p = multiply_add<Pack>(p, f, L::all(Q::q[k]));
  p = multiply_add<Pack>(p, f, L::all(1));
  const IntPack power = (reinterpret_cast<IntPack>(shifted) + C::bias) << C::mantissa;
  return p * reinterpret_cast<Pack>(power);
}

// ln(1 + x) = 2 artanh(x/(2 + x)) for x in [0, 1]: with u ≤ ⅓ the series 2u(1 + u²/3 + u⁴/5 + …) ends below rounding
// after 9 terms in float, 17 in double.
template <class T>
BIDFCL_HD typename Lanes<T>::Pack log_one_plus_pack(typename Lanes<T>::Pack x) {
  using Pack = typename Lanes<T>::Pack;
  constexpr int terms = sizeof(T) == 4 ? 9 : 17;
  const Pack u = x / (x + 2), square = u * u;
  Pack p = Lanes<T>::all(T{1} / (2 * terms - 1));
#pragma GCC unroll 17
  for (int k = terms - 1; k > 0; --k) p = multiply_add<Pack>(p, square, Lanes<T>::all(T{1} / (2 * k - 1)));
  return 2 * u * p;
}

}  // namespace BIDFCL_ARCH

template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<float>::Pack log_one_plus(BIDFCL_ARCH::Lanes<float>::Pack x) {
  return BIDFCL_ARCH::log_one_plus_pack<float>(x);
}
template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<double>::Pack log_one_plus(BIDFCL_ARCH::Lanes<double>::Pack x) {
  return BIDFCL_ARCH::log_one_plus_pack<double>(x);
}
template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<float>::Pack exp2_nonpositive(BIDFCL_ARCH::Lanes<float>::Pack x) {
  return BIDFCL_ARCH::exp2_pack<float>(x);
}
template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<double>::Pack exp2_nonpositive(BIDFCL_ARCH::Lanes<double>::Pack x) {
  return BIDFCL_ARCH::exp2_pack<double>(x);
}
template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<float>::Pack exp_nonpositive(BIDFCL_ARCH::Lanes<float>::Pack x) {
  return BIDFCL_ARCH::exp_pack<float>(x);
}
template <>
BIDFCL_HD BIDFCL_ARCH::Lanes<double>::Pack exp_nonpositive(BIDFCL_ARCH::Lanes<double>::Pack x) {
  return BIDFCL_ARCH::exp_pack<double>(x);
}

}  // namespace bidfcl
