// Outcomes of one problem: zero is success, every failure is negative; above zero, a plan short of what was asked. The
// sentences stand in bidfcl_fast/errors.py.
#pragma once

namespace bidfcl {

enum Status : int {
  kSolved = 0,
  kInfeasibleBudget = -1,
  kNotFinite = -2,
  kNoOpenTreatment = -3,
  // The other codes are found above the backends: −4 and −9 in bidfcl_fast/_precision.py, −5 and −6 in _window.py, −7
  // and −8 in _treated.py, 1 and 2 in _proven.py.
};

}  // namespace bidfcl
