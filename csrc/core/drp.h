// Return on investment learned directly (METHOD.md §2.7): for two neighbouring arms, L = −Σ w·(y·s + x·ln(1 − σ(s))), w
// the inverse-propensity weight of those who received the upper arm and minus that of those who received the lower.
#pragma once

#include "config.h"
#include "pifd.h"
#include "policy.h"

namespace bidfcl {

// eˣ for x ≤ 0, and
template <class Num>
BIDFCL_HD Num exp_nonpositive(Num x);

// ln(1 + x) for x in [0, 1], defined by each executor for its own numbers.
template <class Num>
BIDFCL_HD Num log_one_plus(Num x);

// One score: ln(1 − σ(s)) = −softplus(s), and with σ' = σ(1 − σ) all that derivatives need.
template <class Num>
struct Logistic {
  Num share, slope, softplus;  // σ, σ', ln(1 + eˢ)

  BIDFCL_HD explicit Logistic(Num s) {
    const Num one = Num{} + 1, size = absolute(s);
    const Num e = exp_nonpositive(-size), whole = one / (one + e);
    share = s > Num{} ? whole : e * whole;
    slope = e * whole * whole;
    softplus = (s > Num{} ? s : Num{}) + log_one_plus(e);
  }
};

}  // namespace bidfcl
