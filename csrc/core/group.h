// Who reads a row: one thread, or the lanes of a warp that share it. Both speak the same verbs:
//   each(items, f)                     f(j) for every item j, each by one lane
//   reduce(items, start, take, join)   every lane takes its items into a part of its own, from `start` on; the parts
//   are
//                                      joined, and every lane has the result
#pragma once

#include "config.h"

namespace bidfcl {

struct SerialGroup {
  BIDFCL_HD bool leads() const { return true; }

  template <class Each>
  BIDFCL_HD void each(int items, const Each& f) const {
    for (int j = 0; j < items; ++j) f(j);
  }

  template <class Part, class Take, class Join>
  BIDFCL_HD Part reduce(int items, Part start, const Take& take, const Join&) const {
    for (int j = 0; j < items; ++j) take(start, j);
    return start;
  }
};

}  // namespace bidfcl
