// Exact sums of packs: fixed.h, a lane at a time, without leaving the vector unit.
#pragma once

#include "../core/fixed.h"
#include "lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Sums fixed-point numbers of up to 2^31 packs in two integers a lane: the high bits (rounded down) and the low ones.
template <class T>
class ExactSum {
 public:
  explicit BIDFCL_HD ExactSum(const FixedPoint& scale) : scale_(scale) {}

  // Adds the lanes of x whose bits in `keep` are set.
  BIDFCL_HD void add(typename Lanes<T>::Pack x, typename Lanes<T>::IntPack keep) {
    if constexpr (sizeof(T) == 8) {
      add_doubles(x, keep);
    } else {
      constexpr auto half = std::make_integer_sequence<int, kWidth>();
      add_doubles(__builtin_convertvector(slice<0>(x, half), Doubles),
                  __builtin_convertvector(slice<0>(keep, half), Integers));
      add_doubles(__builtin_convertvector(slice<kWidth>(x, half), Doubles),
                  __builtin_convertvector(slice<kWidth>(keep, half), Integers));
    }
  }

  BIDFCL_HD int128 total() const {
    int128 out = 0;
    for (int l = 0; l < kWidth; ++l) out += static_cast<int128>(high_[l]) * (int128{1} << 32) + low_[l];
    return out;
  }

 private:
  static constexpr int kWidth = BIDFCL_PACK_BYTES / 8;
  typedef double Doubles __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  typedef std::int64_t Integers __attribute__((vector_size(BIDFCL_PACK_BYTES)));

  BIDFCL_HD void add_doubles(Doubles x, Integers keep) {
    const Doubles scaled = x * scale_.factor * scale_.factor_too;
    Integers n = __builtin_convertvector(scaled, Integers);
    n -= __builtin_convertvector(n, Doubles) < scaled;  // a true comparison is −1: round up
    n -= (n == 0) & (x > 0);
    n &= keep;
    high_ += n >> 32;
    low_ += n & 0xffffffff;
  }

  FixedPoint scale_;
  Integers high_{}, low_{};
};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
