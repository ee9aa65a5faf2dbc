// From rows to columns: a few treatments of every lane's user, transposed in registers. Intrinsics, because compilers
// turn the generic form into a tour through memory.
#pragma once

#include "halves.h"
#include "lanes.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class Row>
using CellOf = std::decay_t<decltype(*std::declval<Row>()(0))>;
template <class Row>
constexpr bool are_halves = sizeof(CellOf<Row>) == 2;

// Four halves of every fourth lane's row, from the k-th on, as floats.
template <class Row>
BIDFCL_HD Lanes<float>::Pack load_halves(const Row& row, int k) {
  typedef std::uint64_t Fours __attribute__((vector_size(BIDFCL_PACK_BYTES / 2)));
  Fours fours;
#pragma GCC unroll 4
  for (int q = 0; q < BIDFCL_PACK_BYTES / 16; ++q) {
    std::uint64_t four;
    std::memcpy(&four, row(4 * q + k), sizeof four);
    fours[q] = four;
  }
  return widened<CellOf<Row>>(reinterpret_cast<Halves>(fours));
}

// 16 bytes of each lane's row (8 of halves), `quad` treatments, transposed: columns[j] holds treatment j of all users.
// `row(l)` is where lane l's treatments start. Lane q·quad + k sits in the k-th load's q-th 16 bytes, so that the
// transposes stay inside 16 bytes.
#if defined(__AVX512F__)

template <class Row>
BIDFCL_HD void load_columns(const Row& row, Lanes<float>::Pack* columns) {
  __m512 r[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    if constexpr (are_halves<Row>) {
      r[k] = load_halves(row, k);
    } else {
      r[k] = _mm512_castps128_ps512(_mm_loadu_ps(row(k)));
      r[k] = _mm512_insertf32x4(r[k], _mm_loadu_ps(row(4 + k)), 1);
      r[k] = _mm512_insertf32x4(r[k], _mm_loadu_ps(row(8 + k)), 2);
      r[k] = _mm512_insertf32x4(r[k], _mm_loadu_ps(row(12 + k)), 3);
    }
  }
  const __m512 a = _mm512_unpacklo_ps(r[0], r[1]), b = _mm512_unpackhi_ps(r[0], r[1]);
  const __m512 c = _mm512_unpacklo_ps(r[2], r[3]), d = _mm512_unpackhi_ps(r[2], r[3]);
  columns[0] = _mm512_shuffle_ps(a, c, 0x44);
  columns[1] = _mm512_shuffle_ps(a, c, 0xee);
  columns[2] = _mm512_shuffle_ps(b, d, 0x44);
  columns[3] = _mm512_shuffle_ps(b, d, 0xee);
}

template <class Row>
BIDFCL_HD void load_columns(const Row& row, Lanes<double>::Pack* columns) {
  __m512d r[2];
#pragma GCC unroll 2
  for (int k = 0; k < 2; ++k) {
    r[k] = _mm512_castpd128_pd512(_mm_loadu_pd(row(k)));
    r[k] = _mm512_insertf64x2(r[k], _mm_loadu_pd(row(2 + k)), 1);
    r[k] = _mm512_insertf64x2(r[k], _mm_loadu_pd(row(4 + k)), 2);
    r[k] = _mm512_insertf64x2(r[k], _mm_loadu_pd(row(6 + k)), 3);
  }
  columns[0] = _mm512_unpacklo_pd(r[0], r[1]);
  columns[1] = _mm512_unpackhi_pd(r[0], r[1]);
}

#elif defined(__AVX2__)

template <class Row>
BIDFCL_HD void load_columns(const Row& row, Lanes<float>::Pack* columns) {
  __m256 r[4];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    if constexpr (are_halves<Row>) r[k] = load_halves(row, k);
    else r[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row(k))), _mm_loadu_ps(row(4 + k)), 1);
  }
  const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
  const __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
  columns[0] = _mm256_shuffle_ps(a, c, 0x44);
  columns[1] = _mm256_shuffle_ps(a, c, 0xee);
  columns[2] = _mm256_shuffle_ps(b, d, 0x44);
  columns[3] = _mm256_shuffle_ps(b, d, 0xee);
}

template <class Row>
BIDFCL_HD void load_columns(const Row& row, Lanes<double>::Pack* columns) {
  __m256d r[2];
#pragma GCC unroll 2
  for (int k = 0; k < 2; ++k)
    r[k] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(row(k))), _mm_loadu_pd(row(2 + k)), 1);
  columns[0] = _mm256_unpacklo_pd(r[0], r[1]);
  columns[1] = _mm256_unpackhi_pd(r[0], r[1]);
}

#else  // one 16-byte pack: SSE2, NEON, whatever the compiler has

template <class Row>
BIDFCL_HD void load_columns(const Row& row, Lanes<float>::Pack* columns) {
  Lanes<float>::Pack r[4];
  for (int k = 0; k < 4; ++k) {
    if constexpr (are_halves<Row>) r[k] = load_halves(row, k);
    else std::memcpy(&r[k], row(k), sizeof r[k]);
  }
  const auto a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
  const auto c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  columns[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  columns[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  columns[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  columns[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

template <class Row>
BIDFCL_HD void load_columns(const Row& row, Lanes<double>::Pack* columns) {
  Lanes<double>::Pack r[2];
  for (int k = 0; k < 2; ++k) std::memcpy(&r[k], row(k), sizeof r[k]);
  columns[0] = __builtin_shufflevector(r[0], r[1], 0, 2);
  columns[1] = __builtin_shufflevector(r[0], r[1], 1, 3);
}

#endif

// Four treatments of as many users as a pack has 64-bit lanes, as doubles: columns[j] holds treatment j.
#if defined(__AVX512F__)

template <class Row, class Doubles>
BIDFCL_HD void load_four_columns(const Row& row, Doubles* columns) {
  if constexpr (sizeof(*row(0)) == 4) {
    __m256 r[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k)
      r[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row(k))), _mm_loadu_ps(row(4 + k)), 1);
    const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpackhi_ps(r[0], r[1]);
    const __m256 c = _mm256_unpacklo_ps(r[2], r[3]), d = _mm256_unpackhi_ps(r[2], r[3]);
    columns[0] = _mm512_cvtps_pd(_mm256_shuffle_ps(a, c, 0x44));
    columns[1] = _mm512_cvtps_pd(_mm256_shuffle_ps(a, c, 0xee));
    columns[2] = _mm512_cvtps_pd(_mm256_shuffle_ps(b, d, 0x44));
    columns[3] = _mm512_cvtps_pd(_mm256_shuffle_ps(b, d, 0xee));
  } else {
    Lanes<double>::Pack two[2];
    load_columns([&](int l) { return row(l); }, two);
    columns[0] = two[0];
    columns[1] = two[1];
    load_columns([&](int l) { return row(l) + 2; }, two);
    columns[2] = two[0];
    columns[3] = two[1];
  }
}

#else

template <class Row, class Doubles>
BIDFCL_HD void load_four_columns(const Row& row, Doubles* columns) {
  constexpr int W = BIDFCL_PACK_BYTES / 8;
  for (int j = 0; j < 4; ++j)
    for (int l = 0; l < W; ++l) columns[j][l] = static_cast<double>(row(l)[j]);
}

#endif

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
