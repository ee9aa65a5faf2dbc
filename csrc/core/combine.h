// Associative combines: what several readers of one row agree on.
#pragma once

#include "config.h"

namespace bidfcl {

// Of two numbers, or lane by lane of two packs. Declared here, defined by each executor for its own numbers.
template <class Num>
BIDFCL_HD Num larger(Num a, Num b);
template <class Num>
BIDFCL_HD Num smaller(Num a, Num b);

template <class Num>
BIDFCL_HD Num magnitude(Num a);

// The best and second best score of a row, and the index of the best. `Num` is a number, or a pack of them: one lane a
// user. Equal scores leave `second == first`: the caller sees that the winner is not certain.
template <class Num, class Index>
struct Best {
  Num first, second;
  Index index;

  BIDFCL_HD void take(Num score, Index j) {
    index = score > first ? j : index;
    second = larger(second, smaller(first, score));
    first = larger(first, score);
  }

  // What another reader of the same row has seen. Of equal scores the smaller index counts, whoever saw it.
  BIDFCL_HD void join(const Best& other) {
    const auto theirs = (other.first > first) | ((other.first == first) & (other.index < index));
    index = theirs ? other.index : index;
    second = larger(larger(second, other.second), smaller(first, other.first));
    first = larger(first, other.first);
  }
};

}  // namespace bidfcl
