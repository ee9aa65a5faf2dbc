// The multiplier search as a pure state machine: it owns no data, says which bracket it wants totals for, and is told
// the totals. The CPU loop, and every other driver, only evaluates and adds up integers.
#pragma once

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

struct Search {
  int128 budget;
  Bracket outer{0, INFINITY};  // what exact totals have proved of λ*
  double deviations = 3.5;     // how many standard errors a bracket reaches to each side

  // The exact spends at the two ends of a bracket.
  Verdict tell(const Bracket& asked, int128 spend_low, int128 spend_high) {
    if (spend_high > budget) {
      outer.low = asked.high;
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

// The bracket that a sample suggests: where its cumulative cost, by falling slope, passes `target` ∓ `deviation`
// (the idea of Floyd and Rivest's SELECT), and then `spare` edges further down, which `fill` may need.
inline Bracket suggest(const SampleEdge* sorted, std::size_t count, double target, double deviation,
                       std::size_t spare, const Bracket& outer) {
  Bracket out = outer;
  double taken = 0;
  std::size_t split = count, high = count, low = count;
  for (std::size_t k = 0; k < count; ++k) {
    taken += sorted[k].cost;
    if (high == count && taken > target - deviation) high = k;
    if (split == count && taken > target) split = k;
    if (taken > target + deviation) {
      low = k;
      break;
    }
  }
  // One more edge to each side, and a hair beyond: λ* may be one of the sampled slopes itself.
  if (count > 0 && high > 0) out.high = sorted[high - 1].slope * (1 + 1e-6);
  if (low < split + spare) low = split + spare;
  if (low + 1 < count) out.low = sorted[low + 1].slope * (1 - 1e-6);
  if (!(out.high < outer.high)) out.high = outer.high;
  if (!(out.low > outer.low)) out.low = outer.low;
  return out;
}

}  // namespace bidfcl
