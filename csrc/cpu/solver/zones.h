// Several budgets of one instance by two readings, whatever their number: the first charts what all hull edges cost, by
// slope, and so says for every budget nearly where its multiplier is; the second writes everybody's choices there.
#pragma once

#include <vector>

#include "chart.h"
#include "solver.h"

namespace bidfcl {

struct Budgets {
  InstanceView<float> instance;
  std::vector<double> amount;
  std::vector<std::int32_t*> choice;  // [users] each, written
  bool fill;
  int threads;
};

// Whether the two readings can be had, and cost less than a bracket for every budget.
bool worth_zones(const InstanceView<float>& instance, std::size_t budgets, const Survey& survey);

// Solves what it can, and says which budgets it has solved: not those whose zone would hold a large part of all edges,
// as where users are alike. `out` [budgets] is left as it was for the others.
std::vector<char> solve_in_zones(const Budgets& budgets, const Survey& survey, std::vector<Solution>& out);

}  // namespace bidfcl
