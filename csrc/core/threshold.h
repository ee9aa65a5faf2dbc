// A given multiplier as an exact fraction of fixed-point units, and which hull edges are steeper.
#pragma once

#include <cmath>

#include "config.h"
#include "fixed.h"
#include "hull.h"

namespace bidfcl {

// multiplier = mantissa·2^exponent value units a cost unit; the mantissa is a double's, 53 bits.
struct Threshold {
  std::int64_t mantissa;
  int exponent;
  double slope;  // rounded, infinite or zero beyond the range of double: a filter

  static BIDFCL_HD Threshold of(double multiplier, const FixedPoint& value_scale, const FixedPoint& cost_scale) {
    int exponent = 0;
    const double fraction = std::frexp(multiplier, &exponent);
    const int to_fixed = value_scale.shift - cost_scale.shift;
    return {static_cast<std::int64_t>(std::ldexp(fraction, 53)), exponent - 53 + to_fixed,
            std::ldexp(multiplier, to_fixed)};
  }

  // Whether value/cost > multiplier, exactly: value > ⌊cost·multiplier⌋, of integers.
  BIDFCL_HD bool below(const Edge& e) const {
    if (e.slope > slope * (1 + kSlopeFilter)) return true;
    if (e.slope < slope * (1 - kSlopeFilter)) return false;
    const int128 product = static_cast<int128>(mantissa) * e.cost;  // below 2^116
    if (exponent <= 0) return e.value > (exponent > -127 ? product >> -exponent : 0);
    return product == 0 ||
           (exponent < 64 && product >> (63 - (exponent < 63 ? exponent : 63)) == 0 && e.value > product << exponent);
  }
};

// Where a row stands at the threshold: after every edge that is steeper. `at` is its cheapest choice.
BIDFCL_HD int after_steeper(const FixedRow& row, int at, const Threshold& threshold) {
  Edge edge{};
  while (next_edge(row, at, edge) && threshold.below(edge)) at = edge.stop;
  return at;
}

}  // namespace bidfcl
