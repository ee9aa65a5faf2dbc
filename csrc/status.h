// Outcomes of one problem: zero is success, every failure is negative. The sentences stand in bidfcl_fast/errors.py.
#pragma once

namespace bidfcl {

enum Status : int {
  kSolved = 0,
  kInfeasibleBudget = -1,
  kNotFinite = -2,
  kNoOpenTreatment = -3,
  // −4, too wide a range of numbers, is found above the backends (bidfcl_fast/_precision.py).
};

}  // namespace bidfcl
