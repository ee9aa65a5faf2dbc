// Primal policy learning (METHOD.md §2.3): L = −Σ_i ρ_i·P_{i,t_i}. DFCL's dual losses DPL and MER (§2.5) are the same
// row with another weight.
#pragma once

#include "config.h"

namespace bidfcl {

// γ_j = −1 where j is the treatment received, else 0. `Index` is the integer type as wide as Num.
template <class Num, class Index>
BIDFCL_HD void ppl_unit(Index received, int items, Num* unit) {
  for (int j = 0; j < items; ++j) unit[j] = (Index{} + j) == received ? Num{} - 1 : Num{};
}

}  // namespace bidfcl
