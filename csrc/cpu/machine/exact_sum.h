// Exact sums of packs: fixed.h, a lane at a time, without leaving the vector unit.
#pragma once

#include "../../core/fixed.h"
#include "lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Numbers as integers, rounded up, as FixedPoint's own operator() has it.
template <class Doubles>
BIDFCL_HD auto quantised(Doubles x, const FixedPoint& scale) {
  typedef std::int64_t Integers __attribute__((vector_size(sizeof(Doubles))));
  const Doubles scaled = x * scale.factor * scale.factor_too;
  Integers n = __builtin_convertvector(scaled, Integers);
  n -= __builtin_convertvector(n, Doubles) < scaled;  // a true comparison is −1: round up
  n -= (n == 0) & (x > 0);
  return n;
}

// Sums fixed-point numbers of up to 2^31 packs: in two integers a lane, the high bits (rounded down) and the low ones.
template <class Integers>
class LaneSum {
 public:
  BIDFCL_HD void add(Integers n) {
    high_ += n >> 32;
    low_ += n & 0xffffffff;
  }
  BIDFCL_HD int128 total() const {
    int128 out = 0;
    for (unsigned l = 0; l < sizeof(Integers) / 8; ++l)
      out += static_cast<int128>(high_[l]) * (int128{1} << 32) + low_[l];
    return out;
  }

 private:
  Integers high_{}, low_{};
};

// Sums numbers in fixed point.
template <class T>
class ExactSum {
 public:
  typedef double Doubles __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  typedef std::int64_t Integers __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  static constexpr int kWidth = BIDFCL_PACK_BYTES / 8;

  explicit BIDFCL_HD ExactSum(const FixedPoint& scale) : scale_(scale) {}

  // Adds the lanes of x whose bits in `keep` are set.
  BIDFCL_HD void add(typename Lanes<T>::Pack x, typename Lanes<T>::IntPack keep) {
    x = keep ? x : typename Lanes<T>::Pack{};
    if constexpr (sizeof(T) == 8) {
      add_doubles(x);
    } else {
      Doubles low, high;
      widen(x, low, high);
      add_doubles(low);
      add_doubles(high);
    }
  }

  BIDFCL_HD int128 total() const { return sum_.total(); }

 private:
  BIDFCL_HD void add_doubles(Doubles x) { sum_.add(quantised(x, scale_)); }

  FixedPoint scale_;
  LaneSum<Integers> sum_;
};

// The same for numbers that are whole already, and below 2^kWholeBits: they need no rounding, and one integer a lane is
// enough for 2^(62 − kWholeBits) of them.
template <class T>
class WholeSum {
 public:
  using Doubles = typename ExactSum<T>::Doubles;
  using Integers = typename ExactSum<T>::Integers;

  explicit BIDFCL_HD WholeSum(const FixedPoint& scale) : factor_(scale.factor * scale.factor_too) {}

  BIDFCL_HD void add(typename Lanes<T>::Pack x, typename Lanes<T>::IntPack keep) {
    Doubles low, high;
    widen(keep ? x : typename Lanes<T>::Pack{}, low, high);
    sum_ += __builtin_convertvector(low * factor_, Integers) + __builtin_convertvector(high * factor_, Integers);
  }

  BIDFCL_HD int128 total() const {
    int128 out = 0;
    for (int l = 0; l < ExactSum<T>::kWidth; ++l) out += sum_[l];
    return out;
  }

 private:
  double factor_;
  Integers sum_{};
};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
