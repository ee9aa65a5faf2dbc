// A few hundred users beside others like them: the answer next door says where to begin, and one descent of everybody
// from there does what brackets and passes do for many.
#pragma once

#include <memory>
#include <vector>

#include "descent_kernels.h"
#include "ending.h"
#include "lister.h"

namespace bidfcl {

// One problem after the other; one thread's.
class SmallProblems {
 public:
  // The next problem is no neighbour of the last.
  void forget();

  // Solves a problem; `choice` [N] is written. False if that is not its kind, or the neighbours were no help: then
  // nothing is known, and `choice` holds nothing.
  bool solve(const InstanceView<float>& instance, double budget, bool fill, std::int32_t* choice, Solution& out);

  // What another way has found of such a problem.
  void learn(const Solution& found);

 private:
  struct Problem;
  enum class Try { kSolved, kTooLow, kLost };
  Try descend(Problem& p, float high, Solution& out);
  void list_first_odd(Problem& p, const FirstRun& run, float high);
  void list_active(Problem& p, float low, float high);
  bool finish(Problem& p, float low, float high, Solution& out);
  void make_room(const InstanceView<float>& instance);
  void see(double multiplier);

  double near_ = 0, spread_ = 0;  // of the multipliers lately: about where, and their relative variance
  Largest limits_;                // what no magnitude should exceed
  int lost_ = 0;                  // problems that were given up
  std::int64_t users_ = 0;
  int items_ = 0;
  std::unique_ptr<std::int32_t[]> stop_, odd_, active_;
  std::unique_ptr<float[]> dearer_;
  std::unique_ptr<std::int32_t[]> slope_;  // the bits of FirstRun::slope
  std::unique_ptr<Edge[]> edges_;
  std::size_t edge_count_ = 0;
  std::unique_ptr<std::int32_t[]> bucket_, picked_;  // of each edge; some edges
  std::vector<const Edge*> order_;
  std::vector<Open> open_;
  Lister lister_;
};

}  // namespace bidfcl
