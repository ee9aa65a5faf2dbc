// Where to look: a bracket of multipliers, read off a sample of the users, without a word to the host.
#pragma once

#include "core/bracket.h"
#include "cuda/solver/survey.h"

namespace bidfcl {

constexpr int kProbes = 32;  // multipliers tried at once

template <class T>
struct Guess {
  double low, high;      // a bracket of multipliers
  double below, above;   // the same in units of slopes, a little wider
  BracketEnds<T> ends;   // and in the rows' own type
  std::uint64_t sweeps;  // whether that type has it: else every user is left open
  // What a sample spends at the multipliers between: sums of cost/2^16 and of (cost/2^40)^2, in fixed point.
  std::uint64_t spend[kProbes], square[kProbes];
};

struct Asked {
  double budget;
  double low, high;         // where to look; a high end of infinity: anywhere above
  double deviations;        // standard errors that the sample is allowed to be off
  std::int64_t sample = 0;  // users; 0: the bracket is [low, high] as it stands
  bool or_all = true;       // a bracket that the rows' type cannot hold becomes that of all multipliers
};

// Sets guess[0] for problem 0.
template <class T>
void bracket(const Device& device, const Instances<T>& in, const Survey* survey, const Asked& asked, Guess<T>* guess);

}  // namespace bidfcl
