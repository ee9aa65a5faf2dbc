// Scratch for 32 rows in fixed point, a thread a row.
#pragma once

#include "core/hull.h"
#include "cuda/machine/tile.h"

namespace bidfcl {

BIDFCL_HD std::int64_t fixed_tile_bytes(int items) {
  return 3 * 8 * kWarp * static_cast<std::int64_t>(row_pitch(items));
}

BIDFCL_HD FixedRow fixed_row(char* tile, int lane, int items) {
  const std::int64_t pitch = row_pitch(items), all = kWarp * pitch;
  auto* const numbers = reinterpret_cast<std::int64_t*>(tile) + lane * pitch;
  return {numbers, numbers + all, reinterpret_cast<double*>(numbers + 2 * all), items};
}

}  // namespace bidfcl
