// Where to look: a bracket of multipliers, read off a sample of the users.
#pragma once

#include <vector>

#include "../../core/search.h"
#include "kernels.h"

namespace bidfcl {

constexpr std::int64_t kSample = 8192;  // users that a bracket is read off

// Some rows side by side, in memory of its own unless they lie so already; closed treatments never win. Rows of unlike
// length are filled up with repetitions; the longest few are thinned out.
template <class T>
class Sample {
 public:
  // `size` users spread over all of the instance; fewer if their rows are long and of unlike length.
  Sample(const InstanceView<T>& instance, std::int64_t size, int threads);

  double share() const { return share_; }
  std::int64_t size() const { return rows_; }
  // The largest magnitudes, unless treatments are closed.
  Largest largest() const { return solver_kernels<T>().scan(view(), 0, rows_); }

  // A bracket that should hold the multiplier at which all users together spend `budget`, and below it `spare` edges
  // of theirs. `deviations`: how many standard errors to each side; `spent`: the money spent at search.anchor; `near`:
  // a guess, or NaN. {0, ∞} if there is no such bracket.
  Bracket bracket(const Search& search, double budget, double spent, double deviations, double spare,
                  double near) const;

 private:
  void choose_size(std::int64_t size, std::int64_t users);
  void choose_width(const InstanceView<T>& in);
  InstanceView<T> view() const { return {value_, cost_, nullptr, items_, 1, items_, 1, 0, 0, rows_, items_, nullptr}; }
  struct Wanted {
    double target, deviations, spare;
  };
  ProbeTotals probe(const double* multipliers, std::int64_t rows) const;
  bool narrow(const Wanted& wanted, std::int64_t rows, bool wide, Bracket& range) const;
  double typical_slope() const;

  std::vector<T> memory_;
  const T* value_;
  const T* cost_;
  std::int64_t rows_, part_;
  int items_;
  double share_;
};

}  // namespace bidfcl
