// From rows to columns of packs and back, for any storage: wide loads and transposes where rows lie side by side, a
// tile in between where they do not.
#pragma once

#include <cstring>

#include "columns.h"
#include "losses.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T>
using Pack = typename Lanes<T>::Pack;
template <class T>
using IntPack = typename Lanes<T>::IntPack;

BIDFCL_HD float to_number(float x) { return x; }
BIDFCL_HD double to_number(double x) { return x; }
BIDFCL_HD float to_number(Bfloat x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
// Without branches, so that a loop over a row becomes vector code: the exponent is moved by a multiplication, which
// also makes subnormals right; infinity and NaN get the largest exponent.
BIDFCL_HD float to_number(Half x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const std::uint32_t size = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  float out;
  std::memcpy(&out, &size, sizeof out);
  out *= 0x1p112f;
  std::uint32_t bits;
  std::memcpy(&bits, &out, sizeof bits);
  bits |= (size >= 0x0f800000u ? 0x7f800000u : 0u) | sign;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

BIDFCL_HD void from_number(float x, float& out) { out = x; }
BIDFCL_HD void from_number(double x, double& out) { out = x; }
// To nearest, ties to even.
BIDFCL_HD void from_number(float x, Bfloat& out) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
  out.bits = static_cast<std::uint16_t>(x != x ? 0x7fc0u : rounded);
}
BIDFCL_HD void from_number(float x, Half& out) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  float size;
  std::memcpy(&size, &bits, sizeof size);
  // Small numbers: adding ½ rounds to subnormal units of 2⁻²⁴. Others: rounded in place, then the exponent is moved.
  const float shifted = size + 0.5f;
  std::uint32_t small;
  std::memcpy(&small, &shifted, sizeof small);
  small -= 0x3f000000u;
  const std::uint32_t normal = (bits + 0xfffu + ((bits >> 13) & 1) - 0x38000000u) >> 13;
  const std::uint32_t finite = bits < 0x38800000u ? small : normal;
  const std::uint32_t beyond = bits > 0x7f800000u ? 0x7e00u : 0x7c00u;
  out.bits = static_cast<std::uint16_t>(sign | (bits >= 0x477ff000u ? beyond : finite));
}


template <class S>
BIDFCL_HD const S* element(const Grid& grid, std::int64_t user, std::int64_t item) {
  return static_cast<const S*>(grid.data) + user * grid.row + item * grid.item;
}

// columns[j] = treatment j of every lane's user. `tile` has room for W rows of `items` numbers and a quad more.
// `closed` stands in the cells that `open` closes.
template <class S, class T>
BIDFCL_HD void load_rows(const Grid& grid, const Grid& open, T closed, const std::int32_t* user, int items, T* tile,
                         Pack<T>* columns) {
  constexpr int W = Lanes<T>::count, quad = Lanes<T>::quad;
  const bool direct = sizeof(S) == sizeof(T) && grid.item == 1 && open.data == nullptr && items >= quad;
  if (!direct) {
    for (int l = 0; l < W; ++l) {
      const S* from = element<S>(grid, user[l], 0);
      T* to = tile + static_cast<std::int64_t>(l) * items;
      if (grid.item == 1)
        for (int j = 0; j < items; ++j) to[j] = to_number(from[j]);
      else
        for (int j = 0; j < items; ++j) to[j] = to_number(from[j * grid.item]);
      if (open.data != nullptr)
        for (int j = 0; j < items; ++j)
          if (*element<std::uint8_t>(open, user[l], j) == 0) to[j] = closed;
    }
  }
  const auto row = [&](int l) -> const T* {
    if constexpr (sizeof(S) == sizeof(T))
      if (direct) return static_cast<const T*>(grid.data) + user[l] * grid.row;
    return tile + static_cast<std::int64_t>(l) * items;
  };
  for (int done = 0; done < items; done += quad) {
    // The last step reaches back rather than past the end of the row; a tile has room past its end.
    const int first = done + quad <= items || items < quad ? done : items - quad;
    load_columns([&](int l) { return row(l) + first; }, columns + first);
  }
}

// 16 bytes of every lane, where `row(l)` says: the inverse of load_columns. In the order of the lanes, so that a row
// shorter than 16 bytes is mended by the next one's.
template <class T, class Row>
BIDFCL_HD void store_columns(const Row& row, const Pack<T>* columns) {
  constexpr int W = Lanes<T>::count, quad = Lanes<T>::quad;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512 a = _mm512_unpacklo_ps(columns[0], columns[1]), b = _mm512_unpackhi_ps(columns[0], columns[1]);
    const __m512 c = _mm512_unpacklo_ps(columns[2], columns[3]), d = _mm512_unpackhi_ps(columns[2], columns[3]);
    const __m512 r[4] = {_mm512_shuffle_ps(a, c, 0x44), _mm512_shuffle_ps(a, c, 0xee), _mm512_shuffle_ps(b, d, 0x44),
                         _mm512_shuffle_ps(b, d, 0xee)};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(row(k), _mm512_castps512_ps128(r[k]));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(row(4 + k), _mm512_extractf32x4_ps(r[k], 1));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(row(8 + k), _mm512_extractf32x4_ps(r[k], 2));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(row(12 + k), _mm512_extractf32x4_ps(r[k], 3));
    return;
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256 a = _mm256_unpacklo_ps(columns[0], columns[1]), b = _mm256_unpackhi_ps(columns[0], columns[1]);
    const __m256 c = _mm256_unpacklo_ps(columns[2], columns[3]), d = _mm256_unpackhi_ps(columns[2], columns[3]);
    const __m256 r[4] = {_mm256_shuffle_ps(a, c, 0x44), _mm256_shuffle_ps(a, c, 0xee), _mm256_shuffle_ps(b, d, 0x44),
                         _mm256_shuffle_ps(b, d, 0xee)};
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(row(k), _mm256_castps256_ps128(r[k]));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) _mm_storeu_ps(row(4 + k), _mm256_extractf128_ps(r[k], 1));
    return;
  }
#endif
  alignas(64) T all[quad][W];
  std::memcpy(all, columns, sizeof all);
  for (int l = 0; l < W; ++l) {
    T piece[quad];
    for (int j = 0; j < quad; ++j) piece[j] = all[j][l];
    std::memcpy(row(l), piece, sizeof piece);
  }
}

// A pack of rows of an output that lies side by side: `tile` first, then memory.
template <class S, class T>
BIDFCL_HD void store_rows(void* out, const std::int32_t* user, int users, bool neighbours, bool stream, int items,
                          T* tile, const Pack<T>* columns) {
  constexpr int W = Lanes<T>::count, quad = Lanes<T>::quad;
  S* memory = static_cast<S*>(out);
  const auto destination = [&](int l) { return memory + static_cast<std::int64_t>(user[l]) * items; };
  const auto aligned = [&] { return reinterpret_cast<std::uintptr_t>(destination(0)) % BIDFCL_PACK_BYTES == 0; };
  const bool flood = stream && neighbours && sizeof(S) == sizeof(T) && aligned();
  const bool direct = sizeof(S) == sizeof(T) && !flood && items >= quad && users == W;
  const auto row = [&](int l) -> T* {
    if constexpr (sizeof(S) == sizeof(T))
      if (direct) return reinterpret_cast<T*>(destination(l));
    return tile + static_cast<std::int64_t>(l) * items;
  };
  for (int done = 0; done < items; done += quad) {
    const int first = done + quad <= items || items < quad ? done : items - quad;
    store_columns<T>([&](int l) { return row(l) + first; }, columns + first);
  }
  if (direct) return;
  if (flood) {  // past the caches: what is written is not read here again, and need not be fetched to be overwritten
    for (int k = 0; k < items; ++k) {
      Pack<T> x;
      std::memcpy(&x, tile + static_cast<std::int64_t>(k) * W, sizeof x);
#if defined(__AVX512F__)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(destination(0)) + k, reinterpret_cast<__m512i>(x));
#elif defined(__AVX2__)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(destination(0)) + k, reinterpret_cast<__m256i>(x));
#elif defined(__SSE2__)
      _mm_stream_si128(reinterpret_cast<__m128i*>(destination(0)) + k, reinterpret_cast<__m128i>(x));
#else
      std::memcpy(reinterpret_cast<T*>(destination(0)) + k * W, &x, sizeof x);
#endif
    }
    return;
  }
  for (int l = 0; l < users; ++l) {
    S* to = destination(l);
    const T* from = tile + static_cast<std::int64_t>(l) * items;
    for (int j = 0; j < items; ++j) from_number(from[j], to[j]);
  }
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
