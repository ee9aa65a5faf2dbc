// Activations of a network with their first and second derivatives, on a number or on a pack of them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "config.h"

namespace bidfcl {

enum class Activation : int {
  identity = 0,
  relu = 1,
  leaky_relu = 2,  // parameter: slope below 0
  tanh = 3,
  sigmoid = 4,
  silu = 5,
  gelu = 6,       // z·Φ(z)
  gelu_tanh = 7,  // its approximation by tanh
  softplus = 8,   // parameter: β
  elu = 9,        // parameter: α
};

// How the first derivative is had again from the activation's value alone, so that it need not be kept.
enum class Slope : int {
  one,      // 1
  kept,     // nothing but its own array will do
  step,     // value > 0 ? 1 : parameter
  tanh,     // 1 − value²
  sigmoid,  // value·(1 − value)
};

BIDFCL_HD constexpr Slope slope_of(Activation kind) {
  switch (kind) {
    case Activation::identity:
      return Slope::one;
    case Activation::relu:
    case Activation::leaky_relu:
      return Slope::step;
    case Activation::tanh:
      return Slope::tanh;
    case Activation::sigmoid:
      return Slope::sigmoid;
    default:
      return Slope::kept;
  }
}

// Whether the second derivative is zero wherever it exists.
BIDFCL_HD constexpr bool piecewise_linear(Activation kind) {
  return kind == Activation::identity || kind == Activation::relu || kind == Activation::leaky_relu;
}

// Of a number or a pack: the type of one lane, integers of its width (that may overflow), how many lanes.
template <class Num>
struct NumberOf {
  using Element = std::decay_t<decltype(Num{}[0])>;
  using Integer = decltype(Num{} > Num{});
  static constexpr int lanes = sizeof(Num) / sizeof(Element);
};
template <>
struct NumberOf<float> {
  using Element = float;
  using Integer = std::uint32_t;
  static constexpr int lanes = 1;
};
template <>
struct NumberOf<double> {
  using Element = double;
  using Integer = std::uint64_t;
  static constexpr int lanes = 1;
};

// x in every lane, rounded to the type.
template <class Num>
BIDFCL_HD Num number(double x) {
  return static_cast<typename NumberOf<Num>::Element>(x) - Num{};
}

template <class Num, class Function>
BIDFCL_HD Num lanewise(Num x, Function f) {
  if constexpr (NumberOf<Num>::lanes == 1) {
    return f(x);
  } else {
    for (int l = 0; l < NumberOf<Num>::lanes; ++l) x[l] = f(x[l]);
    return x;
  }
}

template <class Num>
BIDFCL_HD Num absolute(Num x) {
  return x < 0 ? -x : x;
}

// e^x − 1 with the relative precision of the type, by x = k·ln 2 + r and Taylor's series of r, |r| <= ln 2 / 2.
template <class Num>
BIDFCL_HD Num exp_minus_one(Num x) {
  using Integer = typename NumberOf<Num>::Integer;
  constexpr bool wide = sizeof(typename NumberOf<Num>::Element) == 8;
  constexpr int mantissa = wide ? 52 : 23, bias = wide ? 1023 : 127, degree = wide ? 13 : 7;
  const Num least = number<Num>(wide ? -708.0 : -87.0), most = number<Num>(wide ? 709.0 : 88.0);
  x = x < least ? least : x;
  x = x > most ? most : x;
  // Adding 1.5·2^mantissa leaves the nearest whole number in the low bits.
  const Num magic = number<Num>(wide ? 6755399441055744.0 : 12582912.0);
  const Num shifted = x * number<Num>(1.4426950408889634) + magic;
  const Num k = shifted - magic;
  // ln 2 in two parts, the first with so few bits that k times it is exact.
  const Num high = number<Num>(wide ? 6.93147180369123816490e-01 : 0.693145751953125);
  const Num low = number<Num>(wide ? 1.90821492927058770002e-10 : 1.42860682030941723212e-06);
  const Num r = (x - k * high) - k * low;
  double factorial = 1;
  for (int n = 2; n <= degree; ++n) factorial *= n;
  Num p = Num{};
  for (int n = degree; n >= 2; --n) {
    p = p * r + number<Num>(1 / factorial);
    factorial /= n;
  }
  p = p * r * r + r;
  Integer bits, whole;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&whole, &magic, sizeof whole);
  bits = (bits - whole + static_cast<unsigned>(bias)) << mantissa;
  Num power;
  std::memcpy(&power, &bits, sizeof power);
  return power * p + (power - 1);
}

template <class Num>
struct Bend {
  Num value, first, second;
};

// σ, σ' and σ'' from e^−|z|, each without cancellation in either tail.
template <class Num>
BIDFCL_HD Bend<Num> logistic(Num z) {
  const Num e = exp_minus_one(-absolute(z)) + 1;
  const Num whole = 1 / (1 + e);
  const Num value = z < 0 ? e * whole : whole;
  const Num first = e * whole * whole;
  const Num odd = (1 - e) * whole;  // 1 − 2σ, but for its sign
  return {value, first, z < 0 ? first * odd : -first * odd};
}

template <class Num>
BIDFCL_HD Bend<Num> hyperbolic_tangent(Num z) {
  const Num m = exp_minus_one(-2 * absolute(z));
  const Num size = -m / (2 + m);
  const Num value = z < 0 ? -size : size;
  const Num first = 4 * (1 + m) / ((2 + m) * (2 + m));
  return {value, first, -2 * value * first};
}

// σ(z), σ'(z), σ''(z). Where a derivative jumps, the value from the left, as automatic differentiation has it.
template <class Num>
BIDFCL_HD Bend<Num> activate(Activation kind, Num parameter, Num z) {
  const Num zero = Num{}, one = number<Num>(1), half = number<Num>(0.5);
  switch (kind) {
    case Activation::identity:
      return {z, one, zero};
    case Activation::relu:
      return {z < 0 ? zero : z, z > 0 ? one : zero, zero};
    case Activation::leaky_relu:
      return {z > 0 ? z : parameter * z, z > 0 ? one : parameter, zero};
    case Activation::tanh:
      return hyperbolic_tangent(z);
    case Activation::sigmoid:
      return logistic(z);
    case Activation::silu: {
      const Bend<Num> s = logistic(z);
      return {z * s.value, s.value + z * s.first, 2 * s.first + z * s.second};
    }
    case Activation::gelu: {
      const Num root = number<Num>(0.70710678118654752440);
      const Num below = half * lanewise(-z * root, [](auto x) __attribute__((always_inline)) { return std::erfc(x); });
      const Num density = (exp_minus_one(-half * z * z) + 1) * number<Num>(0.39894228040143267794);
      return {z * below, below + z * density, density * (2 - z * z)};
    }
    case Activation::gelu_tanh: {
      const Num c = number<Num>(0.79788456080286535588), a = number<Num>(0.044715);
      const Bend<Num> t = hyperbolic_tangent(c * (z + a * z * z * z));
      const Num inner = c * (1 + 3 * a * z * z);
      const Num first = half * (1 + t.value) + half * z * t.first * inner;
      const Num second = t.first * inner + half * z * (t.second * inner * inner + t.first * 6 * a * c * z);
      return {half * z * (1 + t.value), first, second};
    }
    case Activation::softplus: {
      const Num scaled = parameter * z;
      const Bend<Num> s = logistic(scaled);
      const Num tail = lanewise(exp_minus_one(-absolute(scaled)) + 1,
                                [](auto x) __attribute__((always_inline)) { return std::log1p(x); });
      const auto straight = scaled > 20;  // beyond it the usual definition is the identity
      return {straight ? z : (z > 0 ? z : zero) + tail / parameter, straight ? one : s.value,
              straight ? zero : parameter * s.first};
    }
    case Activation::elu: {
      const Num m = parameter * exp_minus_one(z > 0 ? zero : z);
      return {z > 0 ? z : m, z > 0 ? one : m + parameter, z > 0 ? zero : m + parameter};
    }
  }
  return {z, one, zero};
}

// σ' from the activation's value (and, where that is not enough, from the array that was kept).
template <class Num>
BIDFCL_HD Num slope_at(Slope how, Num parameter, Num value) {
  switch (how) {
    case Slope::step:
      return value > 0 ? number<Num>(1) : parameter;
    case Slope::tanh:
      return 1 - value * value;
    case Slope::sigmoid:
      return value * (1 - value);
    default:
      return number<Num>(1);
  }
}

}  // namespace bidfcl
