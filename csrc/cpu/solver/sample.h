// Where to look: a bracket of multipliers, read off a sample of the users.
#pragma once

#include <vector>

#include "../../core/search.h"
#include "kernels.h"

namespace bidfcl {

constexpr std::int64_t kSample = 4096;  // users that a bracket is read off

struct Guess {
  Bracket range;
  double open = 1;   // about how large a share of the users it leaves open
  double doubt = 0;  // the margin allowed for what the sample does not know, over the spend
};

// Whether everybody's rows can be probed where they are.
template <class T>
bool lies_side_by_side(const InstanceView<T>& in) {
  return in.offsets == nullptr && in.is_plain() && in.value_row == in.items && in.cost_row == in.items;
}

// From one probe of everybody, at `count` rising multipliers, to a bracket that should hold the λ* of `budget` and,
// below it, `spare` edges: where in a step of the grid its ends lie is interpolated. False if the probe does not reach
// so far, or too few users move in the step that holds λ*. Where spend leaps inside a step, the bracket misses.
bool interpolate(double budget, double spare, const double* multipliers, const ProbeTotals& totals, int count,
                 Bracket& out);

// Some rows side by side, in memory of its own unless they lie so already; closed treatments never win. Rows of unlike
// length are filled up with repetitions; the longest few are thinned out.
template <class T>
class Sample {
 public:
  // `size` users spread over all of the instance; fewer if their rows are long and of unlike length. `apart`: users who
  // are like no others, and not among those; they stand for themselves alone.
  Sample(const InstanceView<T>& instance, std::int64_t size, int threads, const std::vector<std::int64_t>& apart = {});

  double share() const { return share_; }
  std::int64_t size() const { return rows_; }
  // The largest magnitudes, unless treatments are closed.
  Largest largest() const { return solver_kernels<T>().scan(view(), 0, rows_); }

  // Whether nothing had to be copied: the rows are those of the instance.
  bool in_place() const { return memory_.empty(); }

  // A bracket that should hold the multiplier at which all users together spend `budget`, and below it `spare` edges
  // of theirs. `deviations`: how many standard errors to each side; `spent`: the money spent at search.anchor; `near`:
  // a guess, or NaN, off by a factor of `reach` at the most. {0, ∞} if there is no such bracket. `daring`: where
  // nothing is unknown but what lies between two probes, that is interpolated; where spend leaps there, the bracket
  // misses.
  Guess bracket(const Search& search, double budget, double spent, double deviations, double spare, double near,
                double reach = 1.5, bool daring = false) const;

 private:
  void choose_size(std::int64_t size, std::int64_t users);
  void choose_width(const InstanceView<T>& in);
  InstanceView<T> view() const { return {value_, cost_, nullptr, items_, 1, items_, 1, 0, 0, rows_, items_, nullptr}; }
  struct Wanted {
    double target, deviations, spare;
    bool daring;
  };
  ProbeTotals probe(const double* multipliers, std::int64_t rows) const;
  bool narrow(const Wanted& wanted, std::int64_t rows, bool wide, Guess& guess) const;
  double typical_slope() const;

  std::vector<T> memory_, apart_;
  const T* value_;
  const T* cost_;
  std::int64_t rows_, part_;
  int items_, threads_;
  double share_;
};

}  // namespace bidfcl
