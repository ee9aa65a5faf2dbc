// Where on the axis of the multiplier a treatment is a user's decision: always one interval, since every other
// treatment is better on one side of one breakpoint.
#pragma once

#include "config.h"
#include "views.h"

namespace bidfcl {

struct Interval {
  double low, high;  // low <= λ < high; both 0 where there is none
};

// At a breakpoint the cheaper treatment wins (the tie rule), so an interval contains its low end, where its treatment
// takes over from a dearer one, and not its high end.
template <class T>
BIDFCL_HD Interval decision_interval(const RowView<T>& row, int received, double infinite) {
  const double own_value = static_cast<double>(row.value_at(received)),
               own_cost = static_cast<double>(row.cost_at(received));
  double low = 0, high = infinite;
  bool ever = row.open_at(received);
  for (int j = 0; j < row.items; ++j) {
    if (j == received || !row.open_at(j)) continue;
    const double rise = static_cast<double>(row.value_at(j)) - own_value;
    const double run = static_cast<double>(row.cost_at(j)) - own_cost;
    const double at = rise / run;
    if (run > 0) low = at > low ? at : low;
    else if (run < 0) high = at < high ? at : high;
    else ever &= rise < 0 || (rise == 0 && received < j);
  }
  if (!(ever && low < high)) return {0, 0};
  return {low, high};
}

}  // namespace bidfcl
