// Primal improved finite difference (METHOD.md §2.4): γ_j is what the decision loss gains or loses, for a row of
// weight 1, over the smallest change of score that moves the decision. DIFD (§2.6) is the same row with another weight.
#pragma once

#include "config.h"

namespace bidfcl {

// 1/x to a few units in the last place, 0 for infinity; defined by each executor for its own numbers.
template <class Num>
BIDFCL_HD Num one_over(Num x);

// Which finite differences, and what becomes of small score gaps: a floor, or a boxcar window (DFCL's clip "fix"),
// or neither (both 0).
template <class Num>
struct GapRule {
  bool exact;   // true black-box differences; else Algorithm 3 as printed
  bool window;  // a gap below `bound` counts as `bound`, and one above has no difference at all
  Num bound;
  Num relative, least;  // a gap below relative·(|a| + |b|) + least is rounding, not a gap: no difference

  // 1/gap under the rule.
  BIDFCL_HD Num inverse(Num gap, Num size) const {
    const Num one = Num{} + 1;
    if (window) return gap < bound ? one / bound : Num{};
    const Num floored = gap < bound ? bound : gap;
    return floored > relative * size + least ? one_over(floored) : Num{};
  }
};

template <class Num>
BIDFCL_HD Num absolute(Num x) {
  return x < Num{} ? -x : x;
}

// What else a row has to say: whether its own gap, that of the treatment received, is below the bound.
template <class Num, class Index>
struct Decision {
  Index best;   // the hard decision: largest score, then smallest cost, then smallest index
  Index close;  // all bits set (1 for a number) where the rule changed the gap
};

// The hard decision of a row, by the tie rule, and its score.
template <class Num, class Index>
struct Winner {
  Index best{};
  Num score;
};
template <class Num, class Index>
BIDFCL_HD Winner<Num, Index> winner(const Num* score, const Num* cost, int items) {
  Winner<Num, Index> won{{}, score[0]};
  Num least = cost[0];
  for (int j = 1; j < items; ++j) {
    const auto better = (score[j] > won.score) | ((score[j] == won.score) & (cost[j] < least));
    won.score = better ? score[j] : won.score;
    least = better ? cost[j] : least;
    won.best = better ? Index{} + j : won.best;
  }
  return won;
}

template <class Num, class Index>
BIDFCL_HD Decision<Num, Index> pifd_unit(const Num* score, const Num* cost, Index received, int items,
                                         const GapRule<Num>& rule, Num never, Num* unit) {
  // The decision, the received treatment's score and cost, and the best score of all others.
  const Winner<Num, Index> won = winner<Num, Index>(score, cost, items);
  const Index best = won.best;
  const Num top = won.score;
  Num own{}, own_cost{}, rival = never;
  for (int j = 0; j < items; ++j) {
    const auto mine = (Index{} + j) == received;
    own = mine ? score[j] : own;
    own_cost = mine ? cost[j] : own_cost;
    const Num other = mine ? never : score[j];
    rival = other > rival ? other : rival;
  }
  // If the winner fell, would the received treatment win? Only then does the winner's fall change the loss.
  auto heir = Index{} == Index{};
  if (rule.exact)
    for (int j = 0; j < items; ++j) {
      const Index at = Index{} + j;
      const auto beats =
          (score[j] > own) | ((score[j] == own) & ((cost[j] < own_cost) | ((cost[j] == own_cost) & (at < received))));
      heir = heir & !((at != best) & (at != received) & beats);
    }
  const auto matched = best == received;
  const Num gap = matched ? own - rival : top - own;
  const Num own_size = absolute(own);
  const Num against = matched ? rival : top;
  const Num step = rule.inverse(gap, own_size + absolute(against));
  for (int j = 0; j < items; ++j) {
    const Index at = Index{} + j;
    const Num entry = rule.inverse(own - score[j], own_size + absolute(score[j]));  // matched rows
    const Num fall = ((at == best) & heir) ? step : Num{};                          // mismatched rows
    const Num other = matched ? entry : fall;
    unit[j] = at == received ? -step : other;
  }
  return {best, gap < rule.bound};
}

}  // namespace bidfcl
