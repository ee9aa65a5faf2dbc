// Fixed point: what is rounded, which way, and what never overflows. long double (64 bits of mantissa) is the judge.

#include "../../csrc/core/fixed.h"

#include <cmath>
#include <random>

#include "check.h"

using bidfcl::FixedPoint;
using bidfcl::int128;

int main() {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> unit(-1, 1);
  for (int exponent = -1000; exponent <= 1000; exponent += 125) {
    const double largest = std::ldexp(0.75, exponent);
    const FixedPoint scale = FixedPoint::for_largest(largest);
    CHECK(scale(largest) <= std::int64_t{1} << 61);
    CHECK(scale(largest) > std::int64_t{1} << 60);
    CHECK(scale(-largest) == -scale(largest));
    CHECK(scale(0.0) == 0);
    for (int k = 0; k < 1000; ++k) {
      const double x = unit(random) * std::ldexp(largest, -static_cast<int>(random() % 200));
      const long double exact = std::ldexp(static_cast<long double>(x), scale.shift);
      CHECK(static_cast<long double>(scale(x)) == std::ceil(exact));  // never below, less than one unit above
      CHECK(scale.floor(x) == static_cast<int128>(std::floor(exact)));
    }
    // Numbers that underflow on the way keep their sign's rounding.
    CHECK(scale(5e-324) == (exponent > -900 ? 1 : scale(5e-324)));
    CHECK(scale(-5e-324) <= 0);
  }

  const FixedPoint scale = FixedPoint::for_largest(1.0);
  CHECK(scale.nearest(scale(0.1f)) == static_cast<double>(0.1f));
  for (int k = 0; k < 1000; ++k) {
    const int128 n = static_cast<int128>(random()) * static_cast<int128>(random() >> 10);
    const double above = scale.above(n);
    CHECK(static_cast<int128>(std::ldexp(above, scale.shift)) >= n);
    CHECK(static_cast<int128>(std::ldexp(std::nextafter(above, -INFINITY), scale.shift)) < n);
  }

  // A budget beyond every possible spend is held, not overflowed.
  CHECK(scale.floor(1e300) == static_cast<int128>(1) << 125);
  CHECK(scale.floor(-1e300) == -(static_cast<int128>(1) << 125));

  // The slope is the rounded quotient, once rounded: exact where the quotient is a double.
  CHECK(bidfcl::slope_nearest(3, 4, scale, scale) == 0.75);
  CHECK(bidfcl::slope_nearest(4, 3, scale, scale) == 4.0 / 3.0);
  for (int k = 0; k < 1000; ++k) {
    const auto a = static_cast<std::int64_t>(random() >> (2 + random() % 60)) + 1;
    const auto b = static_cast<std::int64_t>(random() >> (12 + random() % 50)) + 1;
    const double slope = bidfcl::slope_nearest(a, b, scale, scale);
    const long double exact = static_cast<long double>(a) / b;
    CHECK(std::fabs(static_cast<double>(slope - exact)) <= 0.5000001 * (std::nextafter(slope, INFINITY) - slope));
  }
  return finish();
}
