// One row's choice at the two ends of a multiplier bracket, and whether floating point has proved it.
#pragma once

#include "combine.h"
#include "config.h"

namespace bidfcl {

// What a row needs to know of a bracket [low, high] of multipliers, in the row's own precision.
template <class T>
struct BracketEnds {
  T low, high;
  T doubt_low, doubt_high;  // absolute doubt of a score: what fixed point rounds away
};

// Choices at both ends. `Num` is T or a pack of T (a lane a user), `Index` the integer type of the same width.
template <class Num, class Index>
struct EndChoices {
  Best<Num, Index> low, high;
  Num value, cost;  // of the choice at the high end
  Num reach;        // largest |cost|, kept only where products are rounded before they are subtracted
};

// The score of METHOD.md §2: a_ij = value − λ·cost. `Fused` says whether multiply-add rounds once.
//
// Rounding is monotone: when fused scores differ, the exact scores differ the same way. All that remains is to ask
// for a margin above the fixed-point units and a few roundings. Declared here, defined by each executor for its own
// numbers.
template <bool Fused, class Num>
BIDFCL_HD Num score(Num value, Num multiplier, Num cost);

template <bool Fused, class Num, class Index>
BIDFCL_HD void take_both(EndChoices<Num, Index>& ends, Num value, Num cost, Num low, Num high, Index j) {
  const Num at_high = score<Fused>(value, high, cost);
  const auto better = at_high > ends.high.first;
  ends.value = better ? value : ends.value;
  ends.cost = better ? cost : ends.cost;
  ends.high.take(at_high, j);
  ends.low.take(score<Fused>(value, low, cost), j);
  if (!Fused) {
    const Num size = cost < Num{} ? -cost : cost;
    ends.reach = size > ends.reach ? size : ends.reach;
  }
}

// True (all bits set, in packs) where the best choice is certain in exact arithmetic. NaN compares false: uncertain.
template <bool Fused, class Num, class Index>
BIDFCL_HD auto certain(const Best<Num, Index>& best, Num reach, Num multiplier, Num relative, Num doubt) {
  const Num first = best.first < Num{} ? -best.first : best.first;
  const Num second = best.second < Num{} ? -best.second : best.second;
  Num margin = relative * (first + second) + doubt;
  if (!Fused) margin = margin + relative * (multiplier * reach);
  return (best.first - best.second) > margin;
}

}  // namespace bidfcl
