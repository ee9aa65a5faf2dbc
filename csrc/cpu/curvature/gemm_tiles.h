// Two matrix products on rows that are in cache, in blocks that stay in registers. Lanes run over columns, so rows may
// be any number and columns are padded to whole packs.
#pragma once

#include <cstdint>

#include "../machine/lanes.h"

namespace bidfcl {

// a·b + c with one rounding, where the target has the instruction; see lanes.h on why it is written out.
#if defined(__AVX512F__)
BIDFCL_HD __m512 multiply_add(__m512 a, __m512 b, __m512 c) { return _mm512_fmadd_ps(a, b, c); }
BIDFCL_HD __m512d multiply_add(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
#elif defined(__FMA__)
BIDFCL_HD __m256 multiply_add(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
BIDFCL_HD __m256d multiply_add(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
#elif defined(__aarch64__)
BIDFCL_HD float32x4_t multiply_add(float32x4_t a, float32x4_t b, float32x4_t c) { return vfmaq_f32(c, a, b); }
BIDFCL_HD float64x2_t multiply_add(float64x2_t a, float64x2_t b, float64x2_t c) { return vfmaq_f64(c, a, b); }
#else
template <class Pack>
BIDFCL_HD Pack multiply_add(Pack a, Pack b, Pack c) {
  return a * b + c;
}
#endif

namespace BIDFCL_ARCH {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr bool kManyRegisters = true;  // 32 of them, else 16
#else
constexpr bool kManyRegisters = false;
#endif

template <class T>
using Pack = typename Lanes<T>::Pack;

template <class T>
BIDFCL_HD Pack<T> load(const T* p) {
  Pack<T> x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class T>
BIDFCL_HD void store(T* p, Pack<T> x) {
  __builtin_memcpy(p, &x, sizeof x);
}
template <class T>
BIDFCL_HD Pack<T> all(T x) {
  return x - Pack<T>{};
}

// a [rows][·] times b [depth][·]: one summand of a product of matrices.
template <class T>
struct Factors {
  const T* a;
  std::int64_t a_stride;
  const T* b;
  std::int64_t b_stride;
  int depth;
};

// What becomes of the sums, before they leave the registers: out = slope·sum + add, and bent = bend·sum.
template <class T>
struct Finish {
  T* out;
  std::int64_t stride;  // of every array here
  Slope slope;          // one, kept (then `kept` holds it), or what `value` tells
  const T* kept;
  const T* value;
  T parameter;
  const T* add;   // or null
  const T* bend;  // or null
  T* bent;
};

template <class T>
BIDFCL_HD void finish(const Finish<T>& f, std::int64_t at, Pack<T> sum) {
  if (f.bend) store(f.bent + at, load(f.bend + at) * sum);
  switch (f.slope) {
    case Slope::one:
      break;
    case Slope::kept:
      sum *= load(f.kept + at);
      break;
    case Slope::step:
      sum *= slope_at(Slope::step, all(f.parameter), load(f.value + at));
      break;
    case Slope::tanh:
      sum *= slope_at(Slope::tanh, all(f.parameter), load(f.value + at));
      break;
    case Slope::sigmoid:
      sum *= slope_at(Slope::sigmoid, all(f.parameter), load(f.value + at));
      break;
  }
  if (f.add) sum += load(f.add + at);
  store(f.out + at, sum);
}

template <int R, int C, class T>
BIDFCL_HD void rows_block(const Factors<T>* factors, int count, const T* start, std::int64_t row, std::int64_t column,
                          const Finish<T>& f) {
  constexpr int L = Lanes<T>::count;
  Pack<T> sum[R][C];
#pragma GCC unroll 16
  for (int c = 0; c < C; ++c) {
    const Pack<T> first = start ? load(start + column + c * L) : Pack<T>{};
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) sum[r][c] = first;
  }
  for (int n = 0; n < count; ++n) {
    const Factors<T>& g = factors[n];
    const std::int64_t stride = g.a_stride;
    const T* a = g.a + row * stride;
    const T* b = g.b + column;
    for (int k = 0; k < g.depth; ++k, ++a, b += g.b_stride) {
      Pack<T> wide[C];
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) wide[c] = load(b + c * L);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Pack<T> one = all(a[r * stride]);
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) sum[r][c] = multiply_add(one, wide[c], sum[r][c]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) finish(f, (row + r) * f.stride + column + c * L, sum[r][c]);
  }
}

template <int R, int C, class T>
void rows_panel(const Factors<T>* factors, int count, const T* start, std::int64_t rows, std::int64_t column,
                const Finish<T>& f) {
  std::int64_t row = 0;
  for (; row + R <= rows; row += R) rows_block<R, C>(factors, count, start, row, column, f);
  if constexpr (R > 4) {
    for (; row + 4 <= rows; row += 4) rows_block<4, C>(factors, count, start, row, column, f);
  }
  for (; row < rows; ++row) rows_block<1, C>(factors, count, start, row, column, f);
}

// out [rows][columns] = finish(start + Σ a·b), over up to two pairs of factors. `columns` is a whole number of packs.
template <class T>
void rows_product(const Factors<T>* factors, int count, const T* start, std::int64_t rows, std::int64_t columns,
                  const Finish<T>& f) {
  constexpr int L = Lanes<T>::count;
  std::int64_t column = 0;
  if constexpr (kManyRegisters) {
    for (; column + 4 * L <= columns; column += 4 * L) rows_panel<6, 4>(factors, count, start, rows, column, f);
    if (column + 3 * L <= columns) {
      rows_panel<8, 3>(factors, count, start, rows, column, f);
      column += 3 * L;
    }
    if (column + 2 * L <= columns) {
      rows_panel<8, 2>(factors, count, start, rows, column, f);
      column += 2 * L;
    }
  } else {
    for (; column + 2 * L <= columns; column += 2 * L) rows_panel<6, 2>(factors, count, start, rows, column, f);
  }
  if (column < columns) rows_panel<8, 1>(factors, count, start, rows, column, f);
}

template <int R, int C, class T>
BIDFCL_HD void outer_block(const Factors<T>* factors, int count, std::int64_t row, std::int64_t column, T* out,
                           std::int64_t stride) {
  constexpr int L = Lanes<T>::count;
  Pack<T> sum[R][C];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) sum[r][c] = load(out + (row + r) * stride + column + c * L);
  }
  for (int n = 0; n < count; ++n) {
    const Factors<T>& g = factors[n];
    const T* a = g.a + row;
    const T* b = g.b + column;
    for (int s = 0; s < g.depth; ++s, a += g.a_stride, b += g.b_stride) {
      Pack<T> wide[C];
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) wide[c] = load(b + c * L);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Pack<T> one = all(a[r]);
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) sum[r][c] = multiply_add(one, wide[c], sum[r][c]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(out + (row + r) * stride + column + c * L, sum[r][c]);
  }
}

template <int R, int C, class T>
void outer_panel(const Factors<T>* factors, int count, std::int64_t rows, std::int64_t column, T* out,
                 std::int64_t stride) {
  std::int64_t row = 0;
  for (; row + R <= rows; row += R) outer_block<R, C>(factors, count, row, column, out, stride);
  if constexpr (R > 4) {
    for (; row + 4 <= rows; row += 4) outer_block<4, C>(factors, count, row, column, out, stride);
  }
  if constexpr (R > 2) {
    for (; row + 2 <= rows; row += 2) outer_block<2, C>(factors, count, row, column, out, stride);
  }
  for (; row < rows; ++row) outer_block<1, C>(factors, count, row, column, out, stride);
}

// out [rows][columns] += Σ aᵀ·b, where a is [depth][rows] and b [depth][columns].
template <class T>
void outer_product(const Factors<T>* factors, int count, std::int64_t rows, std::int64_t columns, T* out,
                   std::int64_t stride) {
  constexpr int L = Lanes<T>::count;
  std::int64_t column = 0;
  if constexpr (kManyRegisters) {
    for (; column + 4 * L <= columns; column += 4 * L) outer_panel<6, 4>(factors, count, rows, column, out, stride);
    if (column + 3 * L <= columns) {
      outer_panel<8, 3>(factors, count, rows, column, out, stride);
      column += 3 * L;
    }
    if (column + 2 * L <= columns) {
      outer_panel<12, 2>(factors, count, rows, column, out, stride);
      column += 2 * L;
    }
  } else {
    for (; column + 2 * L <= columns; column += 2 * L) outer_panel<6, 2>(factors, count, rows, column, out, stride);
  }
  if (column < columns) outer_panel<8, 1>(factors, count, rows, column, out, stride);
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
