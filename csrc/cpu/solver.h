// The CPU's driver of the search: sample, sweep, finish.
#pragma once

#include <cmath>
#include <vector>

#include "../core/search.h"
#include "arch.h"
#include "edges.h"

namespace bidfcl {

struct Solution {
  int status;
  double multiplier, value, spend, dual_bound, gap, least_budget, value_unit, cost_unit;
  std::int64_t rows_read, sweeps, active;
};

// What a scan of an instance teaches; several budgets of one instance share it.
struct Survey {
  Largest largest;
  bool costs_rounded = false;  // fixed point rounds some cost
};

// One problem; `choice` [N] is written.
template <class T>
class Solver {
 public:
  Solver(const InstanceView<T>& instance, double budget, bool fill, int threads, std::int32_t* choice);

  // `survey` may be null: then the first sweep does the scan's work on the way, if it can.
  Solution run(const Survey* survey, double warm_start);

 private:
  // The users still open after some sweeps, what the others cost, and where λ* is known to be.
  struct Level {
    std::vector<Active> users;
    bool all = false;            // every user; `users` is empty
    int128 value = 0, cost = 0;  // of the users settled before
    int128 spend_high = 0;       // of everybody at search.outer.high; known below the top
    Search search;
    std::int64_t count(const InstanceView<T>& instance) const {
      return all ? instance.users : static_cast<std::int64_t>(users.size());
    }
    const Active* list() const { return all ? nullptr : users.data(); }
  };

  bool is_warm(double multiplier) const {
    constexpr std::int64_t kWarm =
        65536;  // among fewer users, a bracket a 64th wide may leave too few edges for `fill`
    return multiplier > 0 && std::isfinite(multiplier) && instance_.users >= kWarm;
  }
  void know(const Survey& survey);
  void narrow(std::vector<Level>& levels, double warm_start);
  bool start_unsurveyed(std::vector<Level>& levels, double warm_start);
  std::vector<Active> sample(const Level& level) const;
  Bracket propose(const Level& level, double warm_start);
  bool sweep(Level& level, Bracket asked, Level& next, bool* surveyed = nullptr);
  bool finish(const Level& level);
  bool retry(const Level& level);
  void report(int128 value, int128 spend, int128 bound, double multiplier);
  EdgeList list(const Active* users, std::int64_t count, const Bracket& bracket, int threads) const {
    return list_edges(instance_, users, count, value_scale_, cost_scale_, bracket, threads);
  }

  InstanceView<T> instance_;
  double budget_asked_;
  Survey survey_;
  FixedPoint value_scale_{}, cost_scale_{};
  int128 budget_ = 0;
  bool fill_;
  int threads_;
  std::int32_t* choice_;
  Solution out_{};
};

// Reads an instance once, in parallel; the costs once more if their magnitudes leave a doubt whether any is rounded.
template <class T>
Survey survey(const InstanceView<T>& instance, int threads);

}  // namespace bidfcl
