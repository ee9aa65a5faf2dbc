// From rows to columns of packs and back, for any storage: wide loads and transposes where rows lie side by side, a
// tile in between where they do not.
#pragma once

#include <cstring>

#include "../machine/columns.h"
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
BIDFCL_HD void from_number(float x, Bfloat& out) { out.bits = to_bfloat16(x); }
BIDFCL_HD void from_number(float x, Half& out) { out.bits = to_float16(x); }

template <class S>
BIDFCL_HD const S* element(const Grid& grid, std::int64_t user, std::int64_t item) {
  return static_cast<const S*>(grid.data) + user * grid.row + item * grid.item;
}

template <class T>
BIDFCL_HD Pack<T> pack_at(const T* from) {
  Pack<T> out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

// A pack of users.
struct Who {
  const std::int32_t* user;  // [W]; idle lanes repeat one
  int users;
  bool neighbours;  // all lanes taken, by consecutive users
};

// Row by row into a tile, whatever the storage. `closed` stands in the cells that `open` closes.
template <class S, class T>
BIDFCL_HD void fill_tile(const Grid& grid, const Grid& open, T closed, const Who& who, int items, T* tile) {
  constexpr int W = Lanes<T>::count;
  if (grid.item == 1 && open.data == nullptr && who.neighbours && grid.row == items) {
    const S* from = element<S>(grid, who.user[0], 0);
    for (int k = 0; k < W * items; ++k) tile[k] = to_number(from[k]);
    return;
  }
  for (int l = 0; l < W; ++l) {
    const S* from = element<S>(grid, who.user[l], 0);
    T* to = tile + static_cast<std::int64_t>(l) * items;
    if (grid.item == 1)
      for (int j = 0; j < items; ++j) to[j] = to_number(from[j]);
    else
      for (int j = 0; j < items; ++j) to[j] = to_number(from[j * grid.item]);
    if (open.data != nullptr)
      for (int j = 0; j < items; ++j)
        if (*element<std::uint8_t>(open, who.user[l], j) == 0) to[j] = closed;
  }
}

// Every quad of a row; the last reaches back rather than past the end, but in a tile, which has room past its end.
template <class T, class Visit>
BIDFCL_HD void each_quad(int items, const Visit& visit) {
  constexpr int quad = Lanes<T>::quad;
  for (int done = 0; done < items; done += quad) visit(done + quad <= items || items < quad ? done : items - quad);
}

// columns[j] = treatment j of every lane's user. `tile` has room for W rows of `items` numbers and a quad more.
template <class S, class T>
BIDFCL_HD void load_rows(const Grid& grid, const Grid& open, T closed, const Who& who, int items, T* tile,
                         Pack<T>* columns) {
  if constexpr (sizeof(S) == sizeof(T)) {
    if (grid.item == 1 && open.data == nullptr && items >= Lanes<T>::quad) {
      const T* data = static_cast<const T*>(grid.data);
      if (who.neighbours) {
        const T* first_row = data + who.user[0] * grid.row;
        each_quad<T>(items, [&](int first) {
          load_columns([&](int l) { return first_row + l * grid.row + first; }, columns + first);
        });
      } else {
        each_quad<T>(items, [&](int first) {
          load_columns([&](int l) { return data + who.user[l] * grid.row + first; }, columns + first);
        });
      }
      return;
    }
  }
  fill_tile<S, T>(grid, open, closed, who, items, tile);
  each_quad<T>(items,
               [&](int first) { load_columns([&](int l) { return tile + l * items + first; }, columns + first); });
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

// Past the caches: what is written is not read here again, and need not be fetched to be overwritten.
template <class T>
BIDFCL_HD void stream(Pack<T> x, T* to) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(x));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(x));
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), reinterpret_cast<__m128i>(x));
#else
  std::memcpy(to, &x, sizeof x);
#endif
}

// Rows on their way past the caches. They are sent when the tile is wanted again: by then its small stores have reached
// the cache, while a wide load right behind them would wait for each.
template <class T>
struct Tile {
  T* cells;
  T* to = nullptr;  // where its rows belong; null: they are there

  BIDFCL_HD void send(int items) {
    if (to == nullptr) return;
    constexpr int W = Lanes<T>::count;
    for (int k = 0; k < items; ++k) stream<T>(pack_at(cells + k * W), to + k * W);
    to = nullptr;
  }
};

// A pack of rows of an output whose rows lie side by side.
template <class S, class T>
BIDFCL_HD void store_rows(void* out, const Who& who, bool past_caches, int items, Tile<T>& tile,
                          const Pack<T>* columns) {
  S* memory = static_cast<S*>(out);
  if constexpr (sizeof(S) == sizeof(T)) {
    T* rows = reinterpret_cast<T*>(memory) + static_cast<std::int64_t>(who.user[0]) * items;
    if (who.neighbours && past_caches && reinterpret_cast<std::uintptr_t>(rows) % BIDFCL_PACK_BYTES == 0) {
      tile.send(items);
      each_quad<T>(items, [&](int first) {
        store_columns<T>([&](int l) { return tile.cells + l * items + first; }, columns + first);
      });
      tile.to = rows;
      return;
    }
    if (who.neighbours && items >= Lanes<T>::quad) {
      each_quad<T>(items, [&](int first) {
        store_columns<T>([&](int l) { return rows + l * items + first; }, columns + first);
      });
      return;
    }
  }
  tile.send(items);
  each_quad<T>(items, [&](int first) {
    store_columns<T>([&](int l) { return tile.cells + l * items + first; }, columns + first);
  });
  if (who.neighbours) {
    S* to = memory + static_cast<std::int64_t>(who.user[0]) * items;
    for (int k = 0; k < Lanes<T>::count * items; ++k) from_number(tile.cells[k], to[k]);
    return;
  }
  for (int l = 0; l < who.users; ++l) {
    S* to = memory + static_cast<std::int64_t>(who.user[l]) * items;
    const T* from = tile.cells + static_cast<std::int64_t>(l) * items;
    for (int j = 0; j < items; ++j) from_number(from[j], to[j]);
  }
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
