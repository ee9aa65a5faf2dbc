// What a multiplier adds up over a run of users.
#pragma once

#include "rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Sums of packs, in double.
template <class T>
class WideSum {
 public:
  BIDFCL_HD void add(Pack<T> x) {
    if constexpr (sizeof(T) == 8) {
      sum_ += x;
    } else {
      Doubles low, high;
      widen(x, low, high);
      sum_ += low;
      sum_ += high;
    }
  }
  BIDFCL_HD double total() const {
    double out = 0;
    for (int l = 0; l < kWidth; ++l) out += sum_[l];
    return out;
  }

 private:
  static constexpr int kWidth = BIDFCL_PACK_BYTES / 8;
  typedef double Doubles __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  Doubles sum_{};
};

template <class T>
BIDFCL_HD Pack<T> one_where(IntPack<T> mask) {
  return mask ? Lanes<T>::all(1) : Pack<T>{};
}

// What one multiplier adds up over a run.
template <class T>
struct Sums {
  WideSum<T> loss, value_slope, cost_slope, clipped, weighted;

  void finish(double* totals) const {
    totals[kLoss] += loss.total();
    totals[kValueSlope] += value_slope.total();
    totals[kCostSlope] += cost_slope.total();
    totals[kClippedRows] += clipped.total();
    totals[kWeightedRows] += weighted.total();
  }
};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
