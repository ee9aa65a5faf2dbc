// Associative combines: what several readers of one row agree on.
#pragma once

#include "config.h"

namespace bidfcl {

// The best and second best score of a row and the index of the best. `Num` is a number, or a pack of them: one lane a
// user. Equal scores leave `second == best`: the caller sees that the winner is not certain.
template <class Num, class Index>
struct Best {
  Num first, second;
  Index index;

  BIDFCL_HD void take(Num score, Index j) {
    const Num lower = score < first ? score : first;
    second = lower > second ? lower : second;
    index = score > first ? j : index;
    first = score > first ? score : first;
  }
};

}  // namespace bidfcl
