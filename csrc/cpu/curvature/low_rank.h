// A low-rank preconditioner on one residual: two reads of its rows, a piece of columns at a time.
#pragma once

#include "cg_update.h"
#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Rows that one pass over the residual serves.
constexpr int kAbreast = 8;

template <int K, class T>
BIDFCL_HD void lean_block(const T* along, std::int64_t size, const T* r, std::int64_t begin, std::int64_t end,
                          double* lean) {
  constexpr int L = Lanes<T>::count;
  Pack<T> sum[K] = {};
  std::int64_t i = begin;
  for (; i + L <= end; i += L) {
    const Pack<T> x = load(r + i);
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) sum[k] = multiply_add(load(along + k * size + i), x, sum[k]);
  }
  for (int k = 0; k < K; ++k) {
    double total = 0;
    for (int l = 0; l < L; ++l) total += static_cast<double>(sum[k][l]);
    for (std::int64_t j = i; j < end; ++j)
      total += static_cast<double>(along[k * size + j]) * static_cast<double>(r[j]);
    lean[k] = total;
  }
}

template <class T>
void low_rank_lean(const LowRank<T>& p, const T* r, std::int64_t begin, std::int64_t end, double* lean) {
  std::int64_t k = 0;
  for (; k + kAbreast <= p.rank; k += kAbreast) {
    lean_block<kAbreast>(p.along + k * p.size, p.size, r, begin, end, lean + k);
  }
  for (; k < p.rank; ++k) lean_block<1>(p.along + k * p.size, p.size, r, begin, end, lean + k);
}

template <int K, class T>
BIDFCL_HD void apply_block(const T* along, std::int64_t size, const T* lean, const T* from, std::int64_t begin,
                           std::int64_t end, T* z) {
  constexpr int L = Lanes<T>::count;
  std::int64_t i = begin;
  for (; i + L <= end; i += L) {
    Pack<T> sum = load(from + i);
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) sum = multiply_add(all(lean[k]), load(along + k * size + i), sum);
    store(z + i, sum);
  }
  for (; i < end; ++i) {
    T sum = from[i];
    for (int k = 0; k < K; ++k) sum += lean[k] * along[k * size + i];
    z[i] = sum;
  }
}

template <class T>
double low_rank_apply(const LowRank<T>& p, const T* lean, const T* r, std::int64_t begin, std::int64_t end, T* z) {
  std::int64_t k = 0;
  const T* from = r;
  for (; k + kAbreast <= p.rank; k += kAbreast, from = z) {
    apply_block<kAbreast>(p.along + k * p.size, p.size, lean + k, from, begin, end, z);
  }
  for (; k < p.rank; ++k, from = z) apply_block<1>(p.along + k * p.size, p.size, lean + k, from, begin, end, z);
  LongSum<T> rz;
  over<T>(
      end - begin,
      [&](std::int64_t i)
          __attribute__((always_inline)) { rz.part = multiply_add(load(r + begin + i), load(z + begin + i), rz.part); },
      [&]() __attribute__((always_inline)) { rz.fold(); },
      [&](std::int64_t i) __attribute__((always_inline)) {
        rz.total += static_cast<double>(r[begin + i]) * static_cast<double>(z[begin + i]);
      });
  return rz.total;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
