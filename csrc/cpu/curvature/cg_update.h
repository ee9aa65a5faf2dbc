// The vector updates of conjugate gradient, each one read of its vectors. Sums are kept in float64 in a fixed order.
#pragma once

#include "gemm_tiles.h"
#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Four running sums of packs, widened to float64 every so often: fast, and as exact as the sums of a few hundred.
template <class T>
struct LongSum {
  static constexpr int kEvery = 64;
  Pack<T> part{};
  double total = 0;

  BIDFCL_HD void fold() {
    double lanes = 0;
    for (int l = 0; l < Lanes<T>::count; ++l) lanes += static_cast<double>(part[l]);
    total += lanes;
    part = Pack<T>{};
  }
};

// Calls body(i) for whole packs from 0 on and tail(i) for the numbers that are left; fold() now and then.
template <class T, class Body, class Fold, class Tail>
BIDFCL_HD void over(std::int64_t size, const Body& body, const Fold& fold, const Tail& tail) {
  constexpr int L = Lanes<T>::count;
  std::int64_t i = 0;
  while (i + L <= size) {
    for (int n = 0; n < LongSum<T>::kEvery && i + L <= size; ++n, i += L) body(i);
    fold();
  }
  for (; i < size; ++i) tail(i);
}

template <class T>
void cg_bend(const CgRow<T>& row, T* product, double* bend, double* square) {
  LongSum<T> b, s;
  const Pack<T> damping = all(static_cast<T>(row.damping));
  over<T>(
      row.size,
      [&](std::int64_t i) __attribute__((always_inline)) {
        const Pack<T> p = load(row.p + i), q = multiply_add(damping, p, load(product + i));
        store(product + i, q);
        b.part = multiply_add(p, q, b.part);
        s.part = multiply_add(p, p, s.part);
      },
      [&]() __attribute__((always_inline)) {
        b.fold();
        s.fold();
      },
      [&](std::int64_t i) __attribute__((always_inline)) {
        const T p = row.p[i];
        product[i] += static_cast<T>(row.damping) * p;
        b.total += static_cast<double>(p) * static_cast<double>(product[i]);
        s.total += static_cast<double>(p) * static_cast<double>(p);
      });
  *bend = b.total;
  *square = s.total;
}

// x += alpha·p, r −= alpha·product; rᵀr, and rᵀz for the diagonal preconditioner (or none, then rᵀr again).
template <class T>
void cg_step(const CgRow<T>& row, double alpha, double* residual, double* rz) {
  LongSum<T> rr, zz;
  const T step = static_cast<T>(alpha);
  const Pack<T> up = all(step), down = all(-step);
  over<T>(
      row.size,
      [&](std::int64_t i) __attribute__((always_inline)) {
        store(row.x + i, multiply_add(up, load(row.p + i), load(row.x + i)));
        const Pack<T> r = multiply_add(down, load(row.product + i), load(row.r + i));
        store(row.r + i, r);
        rr.part = multiply_add(r, r, rr.part);
        if (row.inverse) zz.part = multiply_add(r * load(row.inverse + i), r, zz.part);
      },
      [&]() __attribute__((always_inline)) {
        rr.fold();
        zz.fold();
      },
      [&](std::int64_t i) __attribute__((always_inline)) {
        row.x[i] += step * row.p[i];
        const T r = row.r[i] -= step * row.product[i];
        rr.total += static_cast<double>(r) * static_cast<double>(r);
        if (row.inverse)
          zz.total += static_cast<double>(r) * static_cast<double>(row.inverse[i]) * static_cast<double>(r);
      });
  *residual = rr.total;
  *rz = row.inverse ? zz.total : rr.total;
}

// p = z + beta·p, where z is given, or r through the diagonal preconditioner, or r.
template <class T>
void cg_turn(const CgRow<T>& row, const T* z, double beta) {
  const T turn = static_cast<T>(beta);
  const Pack<T> wide = all(turn);
  over<T>(
      row.size,
      [&](std::int64_t i) __attribute__((always_inline)) {
        Pack<T> along = load((z ? z : row.r) + i);
        if (!z && row.inverse) along *= load(row.inverse + i);
        store(row.p + i, multiply_add(wide, load(row.p + i), along));
      },
      []() __attribute__((always_inline)) {},
      [&](std::int64_t i) __attribute__((always_inline)) {
        const T along = z ? z[i] : row.inverse ? row.r[i] * row.inverse[i] : row.r[i];
        row.p[i] = along + turn * row.p[i];
      });
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
