// One row's choice at the two ends of a multiplier bracket, and whether floating point has proved it.
#pragma once

#include "combine.h"
#include "config.h"

namespace bidfcl {

// What a row needs to know of a bracket of multipliers, in the row's own precision.
//
// A row is settled if one choice is best, alone, all over the bracket. Its lead over another choice is linear in the
// multiplier. So it is enough to prove it clearly positive at the high end and not negative, up to rounding, at a place
// `low` a little below the bracket's own low end: in between it then stays positive. That saves looking for the
// second best there.
template <class T>
struct BracketEnds {
  T low, high;
  T doubt_low, doubt_high;  // absolute doubt of a score: what fixed point rounds away
  T leverage;               // a doubt at `low`, carried to the high end: (high − low) / (bracket's low − low)

  // The ends for a bracket [at, high], at < high; `low` is to be rounded by the caller.
  static BIDFCL_HD double below(double at, double high) {
    const double reach = (high - at) / 16;
    return at - (at > 0 && reach > at / 2 ? at / 2 : reach);
  }
};

// Choices at both ends. `Num` is T or a pack of T (a lane a user), `Index` the integer type of the same width.
template <class Num, class Index>
struct EndChoices {
  Best<Num, Index> high;
  Num low;          // the best score at `low`; whose it is, is asked afterwards
  Num value, cost;  // of the choice at the high end
  Num reach;        // largest |cost|, kept only where products are rounded before they are subtracted

  // What another reader of the same row has seen.
  BIDFCL_HD void join(const EndChoices& other) {
    const auto theirs =
        (other.high.first > high.first) | ((other.high.first == high.first) & (other.high.index < high.index));
    value = theirs ? other.value : value;
    cost = theirs ? other.cost : cost;
    high.join(other.high);
    low = larger(low, other.low);
    reach = larger(reach, other.reach);
  }
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
  ends.low = larger(ends.low, score<Fused>(value, low, cost));
  if (!Fused) ends.reach = larger(ends.reach, magnitude(cost));
}

// True (all bits set, in packs) where the choice at the high end is certain.
template <bool Fused, class Num>
BIDFCL_HD auto certain_at_high(Num best, Num runner_up, Num reach, Num multiplier, Num relative, Num doubt) {
  Num margin = relative * (magnitude(best) + magnitude(runner_up)) + doubt;
  if (!Fused) margin = margin + relative * (multiplier * reach);
  return (best - runner_up) > margin;
}

// True where that choice is best, alone, all over the bracket.
template <bool Fused, class Num, class Index>
BIDFCL_HD auto settled_between(const EndChoices<Num, Index>& ends, Num low, Num high, Num relative, Num doubt_low,
                               Num doubt_high, Num leverage) {
  Num blur = relative * magnitude(ends.low) + doubt_low;
  Num margin = relative * (magnitude(ends.high.first) + magnitude(ends.high.second)) + doubt_high;
  if (!Fused) {
    blur = blur + relative * (magnitude(low) * ends.reach);
    margin = margin + relative * (high * ends.reach);
  }
  const auto stands = score<Fused>(ends.value, low, ends.cost) >= ends.low;
  return stands & ((ends.high.first - ends.high.second) > margin + leverage * blur);
}

}  // namespace bidfcl
