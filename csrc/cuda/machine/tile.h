// Thirty-two rows on their way between memory and a warp's threads: neighbours in memory are read by neighbouring
// lanes, sixteen bytes at a time where they lie side by side, and each thread then has its row to itself.
#pragma once

#include "core/plan.h"
#include "core/views.h"

namespace bidfcl {

// Rows start an odd number of cells apart, so that 32 threads at the same column meet 32 banks.
BIDFCL_HD constexpr int row_pitch(int items) { return items | 1; }

template <class T>
struct alignas(16) Quad {
  static constexpr int count = 16 / static_cast<int>(sizeof(T));
  T x[16 / sizeof(T)];
};

// Cell k of rows of `items` cells each, and where it stands in a tile; one division, then one cell after the other.
struct Cursor {
  int items, pitch, column, at;

  BIDFCL_HD Cursor(int k, int per_row) : items(per_row), pitch(row_pitch(per_row)) {
    const int row = k / items;
    column = k - row * items;
    at = row * pitch + column;
  }
  BIDFCL_HD void next() {
    const bool over = ++column == items;
    at += over ? pitch - items + 1 : 1;
    column = over ? 0 : column;
  }
};

// [rows, items] cells, of any storage and strides.
struct Cells {
  const void* data;
  std::int64_t row, item;
  Stored storage;
};

// Cells side by side from `start` on, into a tile, sixteen bytes at a time as far as those go; how many those are.
template <class T, class From, class Read>
BIDFCL_HD int stage_quads(const void* start, int cells, int items, int lane, T* tile, const Read& read) {
  if (reinterpret_cast<std::uintptr_t>(start) % sizeof(Quad<From>) != 0) return 0;
  const auto* const quads = static_cast<const Quad<From>*>(start);
  const int done = cells / Quad<From>::count * Quad<From>::count;
  BIDFCL_ROLLED
  for (int q = lane; q * Quad<From>::count < done; q += kWarp) {
    const Quad<From> quad = quads[q];
    Cursor to(q * Quad<From>::count, items);
    for (int n = 0; n < Quad<From>::count; ++n, to.next()) tile[to.at] = read(quad.x[n]);
  }
  return done;
}

template <class T>
BIDFCL_HD void stage_cells(const Cells& from, std::int64_t first, int rows, int items, int lane, T* tile) {
  const int pitch = row_pitch(items), cells = rows * items;
  int done = 0;
  if (from.item == 1 && from.row == items) {
    const void* const start = cell_address<T>(from.data, first * from.row, from.storage);
    if (from.storage == Stored::kOwn) {
      done = stage_quads<T, T>(start, cells, items, lane, tile, [](T x) { return x; });
    } else if constexpr (sizeof(T) == sizeof(float)) {
      const bool exact = from.storage == Stored::kFloat16;
      done = stage_quads<T, std::uint16_t>(start, cells, items, lane, tile, [&](std::uint16_t half) {
        return exact ? from_float16(half) : from_bfloat16(half);
      });
    }
  } else if (from.row < from.item) {  // users lie side by side
    BIDFCL_ROLLED
    for (int j = 0; j < items; ++j) BIDFCL_ROLLED
    for (int r = lane; r < rows; r += kWarp)
      tile[r * pitch + j] = read_cell<T>(from.data, (first + r) * from.row + j * from.item, from.storage);
    return;
  }
  BIDFCL_ROLLED
  for (int k = done + lane; k < cells; k += kWarp) {
    const int r = k / items, j = k - r * items;
    tile[r * pitch + j] = read_cell<T>(from.data, (first + r) * from.row + j * from.item, from.storage);
  }
}

// Back to rows side by side. Where `whole` is not null it is where their cells go, sixteen bytes at a time; else
// put(k, x) writes cell k.
template <class T, class Put>
BIDFCL_HD void unstage_cells(const T* tile, int rows, int items, int lane, T* whole, const Put& put) {
  const int cells = rows * items;
  int done = 0;
  if (whole && reinterpret_cast<std::uintptr_t>(whole) % sizeof(Quad<T>) == 0) {
    auto* const quads = reinterpret_cast<Quad<T>*>(whole);
    done = cells / Quad<T>::count * Quad<T>::count;
    BIDFCL_ROLLED
    for (int q = lane; q * Quad<T>::count < done; q += kWarp) {
      Quad<T> quad;
      Cursor from(q * Quad<T>::count, items);
      for (int n = 0; n < Quad<T>::count; ++n, from.next()) quad.x[n] = tile[from.at];
      quads[q] = quad;
    }
  }
  BIDFCL_ROLLED
  for (int k = done + lane; k < cells; k += kWarp) put(k, tile[Cursor(k, items).at]);
}

}  // namespace bidfcl
