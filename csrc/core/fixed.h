// Exact sums. A number becomes an integer, in units of one power of two a problem; integer addition is associative,
// so any number of threads, chunks, processes and devices gives the same bits.
#pragma once

#include <cmath>
#include <limits>

#include "config.h"

namespace bidfcl {

// Bits below the power of two that bounds the largest magnitude: the difference of two such numbers fits 63 bits,
// the product of two differences 127.
constexpr int kFixedPointBits = 61;

// The scale of one problem's values or costs: x becomes x·2^shift, rounded up. Rounding up never understates a cost,
// so a plan within the budget in integers is within it in truth; nor a value, so the bound stays a bound.
struct FixedPoint {
  int shift;
  double factor, factor_too;  // 2^shift in two factors: one alone may leave the range of double

  static BIDFCL_HD FixedPoint for_largest(double magnitude) {
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    return of_shift(kFixedPointBits - exponent);
  }

  static BIDFCL_HD FixedPoint of_shift(int shift) {
    return {shift, std::ldexp(1.0, shift / 2), std::ldexp(1.0, shift - shift / 2)};
  }

  BIDFCL_HD std::int64_t operator()(double x) const {
    const double scaled = x * factor * factor_too;  // exact, or so small that only its sign matters
    std::int64_t n = static_cast<std::int64_t>(scaled);
    n += static_cast<double>(n) < scaled;
    n += n == 0 && x > 0;
    return n;
  }

  // Whether x is a whole number of units.
  BIDFCL_HD bool is_exact(double x) const {
    const double scaled = x * factor * factor_too;
    return x == 0 || (scaled != 0 && scaled == std::floor(scaled));
  }

  // The largest integer not above x·2^shift, held within 2^125: a budget beyond that is beyond every spend.
  BIDFCL_HD int128 floor(double x) const {
    const double limit = std::ldexp(1.0, 125);
    double scaled = std::floor(x * factor * factor_too);
    if (scaled == 0 && x < 0) scaled = -1;
    return static_cast<int128>(std::fmax(-limit, std::fmin(limit, scaled)));
  }

  BIDFCL_HD double nearest(int128 n) const { return std::ldexp(static_cast<double>(n), -shift); }

  // The smallest double that is not below the number.
  double above(int128 n) const {
    double x = static_cast<double>(n);
    if (static_cast<int128>(x) < n) x = std::nextafter(x, INFINITY);
    return std::ldexp(x, -shift);
  }
};

// From this magnitude on, every number of type T is a whole number of units: its last digit is one or more.
template <class T>
BIDFCL_HD double least_whole(const FixedPoint& scale) {
  return std::ldexp(1.0, std::numeric_limits<T>::digits - 1 - scale.shift);
}

// Whether every number of type T is whole, given the least magnitude (0: there are none but zeros).
template <class T>
BIDFCL_HD bool is_whole(double least, const FixedPoint& scale) {
  return least == 0 || least >= least_whole<T>(scale);
}

// The double nearest to value/cost in the problem's own units (both positive, as integers of the two scales).
BIDFCL_HD double slope_nearest(std::int64_t value, std::int64_t cost, const FixedPoint& value_scale,
                               const FixedPoint& cost_scale) {
  int128 dividend = value;
  int moved = 0;
  while (dividend >> 125 == 0) {
    dividend <<= 1;
    ++moved;
  }
  int128 quotient = dividend / cost;                             // 64 bits or more
  quotient |= static_cast<int128>(quotient * cost != dividend);  // a sticky bit: one rounding in all, below
  return std::ldexp(static_cast<double>(quotient), cost_scale.shift - value_scale.shift - moved);
}

}  // namespace bidfcl
