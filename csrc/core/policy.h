// One row's soft decision, and the three derivatives of a loss that is linear in it.
//
// Every loss of METHOD.md §2 is Σ_j g_j·P_j of a row, P the softmax of its scores and g frozen: g is the row's weight
// times a unit pattern γ (ppl.h, pifd.h). So value, gradient and Hessian-vector product are written here once.
// `Num` is a number, or a pack of them, one lane a user.
#pragma once

#include "each_item.h"

namespace bidfcl {

constexpr double kLog2E = 1.4426950408889634;

// 2ˣ for x ≤ 0, defined by each executor for its own numbers.
template <class Num>
BIDFCL_HD Num exp2_nonpositive(Num x);

// share[j] = 2^(rate·(score_j − top)), top the largest score and rate = log₂(e)/τ; returns their sum. A closed
// treatment scores −∞ and gets exactly 0. May run in place. To base 2 because an exponential starts with that anyway.
template <class Num, class Items>
BIDFCL_HD Num exponentials(const Num* score, Items items, Num rate, Num* share) {
  Num top = score[0];
  each_item(items, [&](int j) { top = score[j] > top ? score[j] : top; });
  Num sum{};
  each_item(items, [&](int j) {
    share[j] = exp2_nonpositive((score[j] - top) * rate);
    sum += share[j];
  });
  return sum;
}

// share[j] = P_j = softmax(score/τ).
template <class Num>
BIDFCL_HD void softmax(const Num* score, int items, Num rate, Num* share) {
  const Num scale = (Num{} + 1) / exponentials(score, items, rate, share);
  for (int j = 0; j < items; ++j) share[j] *= scale;
}

// Σ_j x_j·y_j
template <class Num>
BIDFCL_HD Num dot(const Num* x, const Num* y, int items) {
  Num sum{};
  for (int j = 0; j < items; ++j) sum += x[j] * y[j];
  return sum;
}

// The gradient of Σ γ·P in the scores, times τ: P_j (γ_j − γ̄), with γ̄ = Σ γ·P. May overwrite `unit`.
template <class Num>
BIDFCL_HD void gradient(const Num* share, const Num* unit, Num mean, int items, Num* out) {
  for (int j = 0; j < items; ++j) out[j] = share[j] * (unit[j] - mean);
}

// The Hessian of Σ γ·P in the scores, times a direction u, times τ²: P_j [(u_j − ū)(γ_j − γ̄) − cov(u, γ)].
// `covariance` is Σ_j u_j·P_j(γ_j − γ̄), which over τ is the derivative of Σ γ·P along u.
template <class Num>
BIDFCL_HD void hessian_vector(const Num* share, const Num* gradient, const Num* turn, Num mean_turn, Num covariance,
                              int items, Num* out) {
  for (int j = 0; j < items; ++j) out[j] = (turn[j] - mean_turn) * gradient[j] - covariance * share[j];
}

}  // namespace bidfcl
