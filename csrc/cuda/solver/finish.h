// The end: where each budget runs out on the ordered edges, everybody's choice there, and what still fits.
#pragma once

#include "cuda/solver/order.h"

namespace bidfcl {

struct BoughtPlan {
  int128 value, cost;              // with what `fill` has added
  int128 split_value, split_cost;  // before that
  Edge split;
  std::uint64_t has_split;  // else all edges fit
  std::int64_t tried;       // edges from the split one on, up to the window
  double last_slope;        // of the last of them
};

template <class T>
struct FinishJob {
  PassJob<T> pass;
  const Running* running;
  std::int64_t edges, open;  // how many there are
  std::int64_t budgets;      // of one instance, or one a problem
  bool together;             // all budgets are of problem 0
  bool fill;
  const int128* budget;  // [budgets], in units of cost
  std::int32_t* choice;  // of budget k from choice + k·choice_stride + (the problem's first user) on
  std::int64_t choice_stride;
  BoughtPlan* plan;  // [budgets]

  BIDFCL_HD std::int64_t problem(std::int64_t k) const { return together ? 0 : k; }
  BIDFCL_HD std::int32_t* choice_of(std::int64_t k) const {
    const Instances<T>& in = pass.in;
    return choice + k * choice_stride + (in.first ? in.first[problem(k)] : 0);
  }
};

template <class T>
void finish(const Device& device, const FinishJob<T>& job);

}  // namespace bidfcl
