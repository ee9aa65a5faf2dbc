// What hull edges cost, by slope, and where budgets run out on that chart. It only says where to look: nothing that is
// kept depends on it.
#pragma once

#include <cstdint>
#include <vector>

#include "climb_kernels.h"
#include "kernels.h"

namespace bidfcl {

// A part of the chart, and the budgets that run out there.
struct Zone {
  int low, high;  // buckets [low, high)
  std::int64_t edges = 0;
  std::vector<std::size_t> budgets;
};

class Chart {
 public:
  // A reading of everybody.
  Chart(const InstanceView<float>& instance, const Largest& largest, const std::vector<double>& budgets, int threads);

  const ClimbJob& climb() const { return job_.climb; }
  // About how large a share of the users have a hull that rounding could change.
  double odd() const { return odd_; }
  std::int64_t rows() const { return rows_; }

  // Zones apart from each other, in falling order, with at least `spare` edges below where a budget runs out. Budgets
  // that pay for no edge, or run out beyond the chart, have none.
  std::vector<Zone> zones(const std::vector<double>& budgets, double spare) const;

 private:
  void read(const std::vector<std::int64_t>& begins, std::int64_t users, int threads);
  void choose_range(double least, double most, double share);
  double room(double budget, double share) const;

  ChartJob job_;
  std::vector<ChartCell> cells_;
  ChartTotals totals_;
  std::int64_t rows_ = 0;
  double odd_ = 0;
};

}  // namespace bidfcl
