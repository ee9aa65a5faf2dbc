// Primal policy learning (METHOD.md §2.3): L = −Σ_i ρ_i·P_{i,t_i}. DFCL's dual losses DPL and MER (§2.5) are the same
// row with another weight.
#pragma once

#include "each_item.h"

namespace bidfcl {

// γ_j = −1 where j is the treatment received, else 0. `Index` is the integer type as wide as Num.
template <class Num, class Index>
BIDFCL_HD void ppl_unit(Index received, int items, Num* unit) {
  for (int j = 0; j < items; ++j) unit[j] = (Index{} + j) == received ? Num{} - 1 : Num{};
}

// The exponential of the treatment received.
template <class Num, class Index, class Items>
BIDFCL_HD Num ppl_received(const Num* exponential, Items items, Index received) {
  Num own{};
  each_item(items, [&](int j) { own = (Index{} + j) == received ? exponential[j] : own; });
  return own;
}

// The derivative of −P_t in the multiplier, times τ: P_t·(c_t − Σ_j P_j·c_j), with P_j = inverse·exponential_j.
template <class Num, class Index, class Items>
BIDFCL_HD Num ppl_slope(const Num* exponential, Num inverse, const Num* cost, Index received, Items items,
                        Num share_received) {
  Num sum{};
  each_item(items, [&](int j) { sum += exponential[j] * cost[j]; });
  return share_received * (ppl_received<Num, Index>(cost, items, received) - inverse * sum);
}

// The gradient of −P_t in the scores, times `step`·τ: step·P_t·(P_j − [j = t]). Writes over `exponential`.
template <class Num, class Index, class Items>
BIDFCL_HD void ppl_gradient(Num* exponential, Num inverse, Num step, Index received, Items items, Num share_received) {
  const Num fall = step * share_received, rise = fall * inverse;
  each_item(items, [&](int j) { exponential[j] = rise * exponential[j] - ((Index{} + j) == received ? fall : Num{}); });
}

}  // namespace bidfcl
