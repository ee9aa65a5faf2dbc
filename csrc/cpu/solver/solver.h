// The CPU's driver of the search: sample, pass, finish.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "../../core/search.h"
#include "ending.h"
#include "kernels.h"
#include "pass.h"
#include "sample.h"
#include "survey.h"

namespace bidfcl {

// How many edges below λ* a bracket should have.
inline double spare_edges(bool fill) { return fill ? 1.25 * kFillWindow : 1; }

// Room above the largest number, so that whole numbers stay below 2^kWholeBits.
constexpr double kRoom = 1 << (kFixedPointBits - kWholeBits);

// One problem; `choice` [N] is written.
template <class T>
class Solver {
 public:
  Solver(const InstanceView<T>& instance, double budget, bool fill, int threads, std::int32_t* choice,
         PassMemory& memory);

  Solution run(double warm_start);

  // The end alone, after a pass that others have read: true, and `out`, if it holds all that matters.
  bool end_with(const Survey& survey, PassResult& pass, std::int64_t rows_before, Solution& out);
  // The end where even `least`, what everybody's cheapest choice costs, is beyond the budget.
  void end_infeasible(const Survey& survey, int128 least, std::int64_t rows_read, Solution& out);

  // Several budgets of one instance, whose first passes are one reading.
  static std::vector<Solution> run_together(std::vector<Solver>& solvers, const Survey& survey,
                                            const double* warm_starts);

 private:
  void know(const Survey& survey);
  bool guess();
  void survey_now();
  bool look(double near);
  void count_coarsely(const Largest& largest);
  const Sample<T>& sample(std::int64_t most = kSample);
  double spare() const;
  Bracket propose(double warm_start);
  PassJob<T> pass_job(const Bracket& bracket, bool everybody);
  bool pass(const Bracket& bracket, bool everybody, PassResult& out);
  bool complete(const PassJob<T>& job, PassResult& out);
  bool settle(PassResult& result);
  void search_on(double warm_start);
  struct Ties {
    int bucket;
    std::size_t first, last;  // parts of the list; before `first` all is bought, from `last` on nothing
    Totals bought;
    bool found = false;
    bool enough = false;  // for `fill`, without other buckets
  };
  Ties ties(const PassResult& pass, int bucket, int128 room, std::int64_t window) const;
  bool finish(const PassResult& pass, const Bracket& bracket);
  void list_everybody(const Bracket& hint);
  void infeasible(int128 least);
  Edge exact(const Listed& listed) const;

  InstanceView<T> instance_;
  double budget_asked_;
  Survey survey_;
  Largest guess_;
  bool guessing_ = false, surprised_ = false, asked_all_ = false;
  Bracket seen_{0, 0};               // what a first look says, if anything
  std::vector<std::int64_t> apart_;  // users beyond all guesses
  // The plan is defined in units of `scales_`. A pass may count in coarser ones.
  Scales scales_, counting_;
  bool whole_ = false;
  Search search_;
  int tries_ = 0, widened_ = 0;
  int buckets_;
  std::shared_ptr<const Sample<T>> sample_;
  double deviations_ = kDeviations;
  int spare_ = 1;  // how many times the room that `fill` needs
  bool fill_;
  int threads_;
  std::int32_t* choice_;
  PassMemory& memory_;
  Solution out_{};
};

}  // namespace bidfcl
