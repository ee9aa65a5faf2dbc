// A bracket of multipliers in a row's own type, and how far a score may be off there.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "config.h"
#include "fixed.h"
#include "select.h"

namespace bidfcl {

// The next larger number; infinity and NaN stay.
BIDFCL_HD float next_above(float x) {
  std::int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (!(x < std::numeric_limits<float>::infinity())) return x;
  bits = x == 0 ? 1 : bits + (x > 0 ? 1 : -1);
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}
BIDFCL_HD double next_above(double x) {
  std::int64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (!(x < std::numeric_limits<double>::infinity())) return x;
  bits = x == 0 ? 1 : bits + (x > 0 ? 1 : -1);
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}

// The ends for the rows of [low, high]: outside it, in the rows' own type. False if that has no such numbers.
template <class T>
BIDFCL_HD bool place_ends(double low, double high, BracketEnds<T>& ends) {
  const T infinite = std::numeric_limits<T>::infinity();
  ends.low = static_cast<T>(BracketEnds<T>::below(low, high));
  ends.high = next_above(static_cast<T>(high));
  const double width = static_cast<double>(ends.high) - ends.low, reach = low - ends.low;
  ends.leverage = next_above(static_cast<T>(width / reach));
  return ends.low > -infinite && ends.high < infinite && reach > 0 && ends.leverage < infinite;
}

// How far a score may be off for the rounding of numbers to units.
BIDFCL_HD double units_of_doubt(double multiplier, const FixedPoint& value_scale, const FixedPoint& cost_scale) {
  return std::ldexp(4.0, -value_scale.shift) + multiplier * std::ldexp(4.0, -cost_scale.shift);
}

template <class T>
BIDFCL_HD T doubt_at(double multiplier, const FixedPoint& value_scale, const FixedPoint& cost_scale) {
  return next_above(static_cast<T>(units_of_doubt(multiplier, value_scale, cost_scale)));
}

// The same where one multiplier decides, and a margin is asked for beside it. Beyond the type, scores are infinite or
// NaN, and those are never certain; below it, λ·cost is lost in the units.
template <class T>
BIDFCL_HD T decision_doubt(double multiplier, double margin, const FixedPoint& value_scale,
                           const FixedPoint& cost_scale) {
  const double lost = std::fmin(multiplier, static_cast<double>(std::numeric_limits<T>::min())) *
                      std::ldexp(1.0, kFixedPointBits - cost_scale.shift);
  return next_above(static_cast<T>(units_of_doubt(multiplier, value_scale, cost_scale) + lost + margin));
}

}  // namespace bidfcl
