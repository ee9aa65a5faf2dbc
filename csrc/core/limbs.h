// An exact sum of 64-bit numbers in two 64-bit limbs, for adders that know no wider integer: a GPU's atomics.
#pragma once

#include "config.h"

namespace bidfcl {

// Up to 2^31 numbers below 2^62: neither limb overflows, and the order of additions does not matter.
struct Limbs {
  std::uint64_t low = 0;
  std::int64_t high = 0;

  BIDFCL_HD void take(std::int64_t x) {
    low += static_cast<std::uint32_t>(x);
    high += x >> 32;
  }
  BIDFCL_HD void join(const Limbs& other) {
    low += other.low;
    high += other.high;
  }
  BIDFCL_HD int128 total() const { return static_cast<int128>(high) * (int128{1} << 32) + static_cast<int128>(low); }
};

}  // namespace bidfcl
