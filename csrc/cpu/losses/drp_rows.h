// DRP over the listed users of a run. Of a user's M − 1 scores two matter: that of the step up to the arm received and
// that of the step beyond it. These are gathered into lanes; all other gradients are zero. Included by loss_rows.h
// alone.
#pragma once

#include "../../core/drp.h"
#include "../machine/exp.h"
#include "rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// One of the two scores, of a pack of users.
template <class T>
struct Step {
  alignas(64) T score[Lanes<T>::count] = {}, turn[Lanes<T>::count] = {}, sign[Lanes<T>::count] = {};

  template <class S>
  BIDFCL_HD void read(const LossJob<T>& job, int lane, std::int64_t user, int item, T which) {
    if (item < 0 || item >= job.items) return;
    score[lane] = to_number(*element<S>(job.value, user, item));
    if (job.value_turn.data != nullptr) turn[lane] = to_number(*element<S>(job.value_turn, user, item));
    sign[lane] = which;
  }
};

// Adds the loss (or its derivative along the direction) and leaves what is to be written in `out`.
template <class T, LossOrder Order>
BIDFCL_HD Pack<T> drp_step(const Step<T>& step, Pack<T> y, Pack<T> x, T* out) {
  Pack<T> score, turn, sign;
  std::memcpy(&score, step.score, sizeof score);
  std::memcpy(&turn, step.turn, sizeof turn);
  std::memcpy(&sign, step.sign, sizeof sign);
  const Logistic<Pack<T>> at(score);
  const Pack<T> gradient = -sign * (y - x * at.share);
  Pack<T> made{}, sum{};
  if constexpr (Order == LossOrder::kHessian) {
    made = sign * x * at.slope * turn;
    sum = gradient * turn;
  } else {
    made = gradient;
    sum = -sign * (y * score - x * at.softplus);
  }
  std::memcpy(out, &made, sizeof made);
  return sum;
}

template <class T, class S, LossOrder Order, class Sum>
void drp_rows(const LossJob<T>& job, const std::int32_t* user, const std::int32_t* received, const T* value_label,
              const T* cost_label, int count, Sum& total) {
  constexpr int W = Lanes<T>::count;
  for (int done = 0; done < count; done += W) {
    const int users = count - done < W ? count - done : W;
    Step<T> up, beyond;
    alignas(64) T y[W] = {}, x[W] = {}, made[2][W];
    for (int l = 0; l < users; ++l) {
      const int t = received[done + l];
      up.template read<S>(job, l, user[done + l], t - 1, 1);
      beyond.template read<S>(job, l, user[done + l], t, -1);
      y[l] = value_label[done + l];
      x[l] = cost_label[done + l];
    }
    Pack<T> ys, xs;
    std::memcpy(&ys, y, sizeof ys);
    std::memcpy(&xs, x, sizeof xs);
    total.add(drp_step<T, Order>(up, ys, xs, made[0]));
    total.add(drp_step<T, Order>(beyond, ys, xs, made[1]));
    if constexpr (Order != LossOrder::kValue)
      for (int l = 0; l < users; ++l) {
        S* row = static_cast<S*>(job.value_out) + static_cast<std::int64_t>(user[done + l]) * job.items;
        const int t = received[done + l];
        const T scale = static_cast<T>(job.scale);
        if (t > 0) from_number(scale * made[0][l], row[t - 1]);
        if (t < job.items) from_number(scale * made[1][l], row[t]);
      }
  }
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
