// A monotone map from slopes to a few buckets. Counting by bucket and sorting one of them costs less than sorting all.
#pragma once

#include <cstring>

#include "config.h"

namespace bidfcl {

// Positive doubles order like the integers that hold their bits; a bucket is a range of those.
struct SlopeBuckets {
  // A bucket spans at least 2^12 neighbouring doubles, which is more than rounding can confuse: slopes two buckets
  // apart are in their exact order.
  static constexpr int kLeastShift = 12;

  std::uint64_t lowest = 0;
  int shift = kLeastShift, count = 1;

  static BIDFCL_HD std::uint64_t bits(double slope) {
    std::uint64_t out;
    std::memcpy(&out, &slope, sizeof out);
    return out;
  }

  // `count` buckets over [low, high]; slopes beyond fall into the first and the last.
  static SlopeBuckets between(double low, double high, int count) {
    SlopeBuckets out;
    out.lowest = bits(low > 0 ? low : 0.0);
    const std::uint64_t span = high > low ? bits(high) - out.lowest : 0;
    while (span >> out.shift >= static_cast<std::uint64_t>(count)) ++out.shift;
    out.count = count;
    return out;
  }

  BIDFCL_HD int operator()(double slope) const {
    const std::uint64_t at = bits(slope);
    const std::uint64_t bucket = at > lowest ? (at - lowest) >> shift : 0;
    return bucket < static_cast<std::uint64_t>(count) ? static_cast<int>(bucket) : count - 1;
  }

  // The least slope of a bucket above the first.
  double floor(int bucket) const {
    const std::uint64_t at = lowest + (static_cast<std::uint64_t>(bucket) << shift);
    double out;
    std::memcpy(&out, &at, sizeof out);
    return out;
  }
};

}  // namespace bidfcl
