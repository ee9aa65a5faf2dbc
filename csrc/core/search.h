// The multiplier search as a pure state machine: it owns no data, says which bracket it wants totals for, and is told
// the totals. The CPU loop, and every other driver, only evaluates and adds up integers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "config.h"

namespace bidfcl {

struct Bracket {
  double low, high;  // multipliers; low may be 0, high infinite
};

enum class Verdict { kInside, kTooLow, kTooHigh };  // the bracket, against λ*

// After the first edge that does not fit, this many are tried for the money left. A bound makes the plan independent
// of how much of the data a driver happened to keep.
constexpr int kFillWindow = 1024;

// Standard errors to each side of a first bracket: a wider one leaves more users open, a narrower one misses more often
// (about one sweep in a hundred has to be repeated).
constexpr double kDeviations = 2.5;

struct Search {
  int128 budget;
  Bracket outer{0, INFINITY};       // where edges are still open: λ* is inside, and room below it for `fill`
  double beyond = 0;                // λ* is above this
  double deviations = kDeviations;  // how many standard errors a bracket reaches to each side

  // The exact spends at the two ends of a bracket.
  Verdict tell(const Bracket& asked, int128 spend_low, int128 spend_high) {
    if (spend_high > budget) {
      beyond = asked.high > beyond ? asked.high : beyond;
      deviations *= 4;
      return Verdict::kTooLow;
    }
    if (spend_low <= budget && asked.low > 0) {
      outer.high = asked.low;
      deviations *= 4;
      return Verdict::kTooHigh;
    }
    outer = asked;
    return Verdict::kInside;
  }
};

// One hull edge of a sampled user.
struct SampleEdge {
  double slope, cost;
  std::int32_t user;
};

// Weighted selection: where, in the order of `before`, the first item stands whose cost no longer fits into `room`.
// Halves the range around it instead of sorting; items before the place are the cheaper-to-take ones, and the item
// there is in its sorted position.
template <class Items, class Less, class Cost, class Amount>
std::size_t first_beyond(Items items, std::size_t first, std::size_t last, const Less& before, const Cost& cost,
                         Amount room) {
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    std::nth_element(items + first, items + middle, items + last, before);
    Amount taken = 0;
    for (std::size_t k = first; k <= middle; ++k) taken += cost(items[k]);
    if (taken <= room) {
      room -= taken;
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

// The bracket that a sample suggests (the idea of Floyd and Rivest's SELECT): where its cumulative cost, by falling
// slope, passes target − deviation and target + deviation, and `spare` more edges further down, which `fill` may need.
// `split` is where it passes the target itself, `left` the room in front of that edge.
inline Bracket suggest(SampleEdge* edges, std::size_t count, std::size_t split, double target, double left,
                       double deviation, std::size_t spare, const Bracket& outer) {
  const auto steeper = [](const SampleEdge& a, const SampleEdge& b) { return a.slope > b.slope; };
  const auto cost = [](const SampleEdge& e) { return e.cost; };
  Bracket out = outer;
  // A hair beyond the edges found: λ* may be one of the sampled slopes itself.
  const std::size_t high = first_beyond(edges, 0, split, steeper, cost, target - deviation);
  if (high > 0 && count > 0) out.high = edges[high < count ? high : count - 1].slope * (1 + 1e-6);
  const std::size_t low = first_beyond(edges, split, count, steeper, cost, left + deviation) + 1 + spare;
  if (low < count) {
    std::nth_element(edges + split, edges + low, edges + count, steeper);
    out.low = edges[low].slope * (1 - 1e-6);
  }
  if (!(out.high < outer.high)) out.high = outer.high;
  if (!(out.low > outer.low)) out.low = outer.low;
  return out;
}

}  // namespace bidfcl
