// What no plan can be worth more than.
#pragma once

#include "config.h"

namespace bidfcl {

// The LP optimum in units of value: what the plan before the split edge is worth, and what the money left buys of that
// edge. Where costs were rounded up (and the budget down), each hides at most the multiplier times a unit.
BIDFCL_HD int128 dual_bound(int128 value, std::int64_t split_value, std::int64_t split_cost, int128 left,
                            bool costs_rounded, std::int64_t users) {
  int128 bound = value + (static_cast<int128>(split_value) * left + (split_cost - 1)) / split_cost;
  if (costs_rounded) bound += (static_cast<int128>(split_value) * (users + 1) + (split_cost - 1)) / split_cost;
  return bound;
}

}  // namespace bidfcl
