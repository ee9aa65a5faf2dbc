// The multiplier search as a pure state machine: it owns no data, says which bracket it wants totals for, and is told
// the totals. The CPU loop, and every other driver, only evaluates and adds up integers.
#pragma once

#include <algorithm>
#include <cmath>

#include "config.h"

namespace bidfcl {

struct Bracket {
  double low, high;  // multipliers; low may be 0, high infinite
};

enum class Verdict { kInside, kTooLow, kTooHigh };  // the bracket, against λ*

// After the first edge that does not fit, this many are tried for the money left, that edge among them. A bound makes
// the plan independent of how much of the data a driver happened to keep.
constexpr int kFillWindow = 64;

// Standard errors to each side of a first bracket: a wider one leaves more users open, a narrower one misses more often
// (about one in a hundred has to be repeated).
constexpr double kDeviations = 2.5;

struct Search {
  int128 budget;
  Bracket outer{0, INFINITY};  // λ* is inside
  // What is known exactly: the spend at one multiplier, the latest end of a bracket that missed.
  double anchor = 0;
  int128 spend_at_anchor = 0;
  bool anchored = false;

  // The exact spends at the two ends of a bracket.
  Verdict tell(const Bracket& asked, int128 spend_low, int128 spend_high) {
    if (spend_high > budget) {
      outer.low = std::max(outer.low, asked.high);
      know(asked.high, spend_high);
      return Verdict::kTooLow;
    }
    if (spend_low <= budget && asked.low > 0) {
      outer.high = std::min(outer.high, asked.low);
      know(asked.low, spend_low);
      return Verdict::kTooHigh;
    }
    outer.low = std::max(outer.low, asked.low);
    outer.high = std::min(outer.high, asked.high);
    return Verdict::kInside;
  }

 private:
  void know(double multiplier, int128 spend) {
    anchor = multiplier;
    spend_at_anchor = spend;
    anchored = true;
  }
};

}  // namespace bidfcl
