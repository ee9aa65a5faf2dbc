// The lanes of a warp, imitated on the host: each has a part of its own, and the parts meet in the order of the
// shuffles' butterfly.
#pragma once

#include "core/plan.h"

namespace bidfcl {

// All lanes' parts become their join, as after the shuffles.
template <class Part, class Join>
void butterfly(Part (&parts)[kWarp], const Join& join) {
  for (int mask = 1; mask < kWarp; mask *= 2) {
    Part before[kWarp];
    for (int l = 0; l < kWarp; ++l) before[l] = parts[l];
    for (int l = 0; l < kWarp; ++l) join(parts[l], before[l ^ mask]);
  }
}

struct WarpGroup {
  bool leads() const { return true; }

  template <class Each>
  void each(int items, const Each& f) const {
    for (int j = items; j-- > 0;) f(j);  // in no order that a row may count on
  }

  template <class Part, class Take, class Join>
  Part reduce(int items, Part start, const Take& take, const Join& join) const {
    Part parts[kWarp];
    for (int l = 0; l < kWarp; ++l) {
      parts[l] = start;
      for (int j = l; j < items; j += kWarp) take(parts[l], j);
    }
    butterfly(parts, join);
    return parts[0];
  }
};

}  // namespace bidfcl
