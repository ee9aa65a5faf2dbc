// The lanes of a warp as readers of one row: parts are joined by a butterfly of shuffles. (The tests put another file
// of this name first on the include path, which does the same on the host.)
#pragma once

#include <cstring>

#include "core/plan.h"

namespace bidfcl {

// What lane `lane ^ mask` holds.
template <class Part>
BIDFCL_HD Part from_lane(const Part& own, int mask) {
  static_assert(sizeof(Part) % 4 == 0, "parts travel as words");
  unsigned words[sizeof(Part) / 4];
  memcpy(words, &own, sizeof own);
#if defined(__CUDA_ARCH__)  // nvcc compiles this for the host as well, where nobody calls it
#pragma unroll
  for (unsigned& word : words) word = __shfl_xor_sync(0xffffffffu, word, mask);
#endif
  Part out;
  memcpy(&out, words, sizeof out);
  return out;
}

template <class Part>
BIDFCL_HD Part over_lanes(Part own) {
  for (int mask = 1; mask < kWarp; mask *= 2) own.join(from_lane(own, mask));
  return own;
}

struct WarpGroup {
  int lane;

  BIDFCL_HD bool leads() const { return lane == 0; }

  template <class Each>
  BIDFCL_HD void each(int items, const Each& f) const {
    for (int j = lane; j < items; j += kWarp) f(j);
  }

  template <class Part, class Take, class Join>
  BIDFCL_HD Part reduce(int items, Part part, const Take& take, const Join& join) const {
    BIDFCL_ROLLED
    for (int j = lane; j < items; j += kWarp) take(part, j);
    for (int mask = 1; mask < kWarp; mask *= 2) join(part, from_lane(part, mask));
    return part;
  }
};

}  // namespace bidfcl
