// How many rows are laid over how many blocks, and where a row's numbers are kept meanwhile: a pure function of sizes.
#pragma once

#include "config.h"

namespace bidfcl {

constexpr int kWarp = 32;
constexpr int kMostWarps = 4;  // of a block
constexpr std::int64_t kScratchMost = std::int64_t{64}
                                      << 20;  // bytes of a device's memory for rows too wide for shared

// Shared memory that a block keeps for the sums of its warps.
constexpr std::int64_t kBlockSum = 512;
// What every architecture gives a block without being asked.
constexpr std::int64_t kBlockShared = 48 << 10;

struct DeviceLimits {
  std::int64_t shared_bytes;  // a block's scratch may have: with kBlockSum they are all its shared memory
  std::int64_t most_blocks;   // of a grid
  std::int64_t small_users;   // a problem of no more is walked as it is, without a bracket
};

// Problems of up to `users` rows each. A block takes chunks of `chunk` rows of one problem, a warp 32 rows of those at
// a time, a thread one of them; or, where a row is `wide`, a warp takes one row at a time.
struct LaunchPlan {
  int warps;                 // of a block
  bool wide;                 // a warp a row
  bool shared;               // scratch is shared memory; else it is `scratch_bytes` of the device's
  std::int64_t warp_bytes;   // of scratch
  std::int64_t chunk;        // rows
  std::int64_t per_problem;  // chunks
  std::int64_t chunks;       // of all problems
  std::int64_t blocks;
  std::int64_t scratch_bytes;  // 0 if shared

  std::int64_t shared_bytes() const { return shared ? warps * warp_bytes : 0; }
};

// `tile_bytes`: of scratch that 32 rows read by 32 threads need; `row_bytes`: that one row read by a warp needs. A row
// is wide when the tile does not fit into a block's shared memory; without row_bytes (negative), no row is.
BIDFCL_HD LaunchPlan plan_rows(std::int64_t problems, std::int64_t users, std::int64_t tile_bytes,
                               std::int64_t row_bytes, const DeviceLimits& limits) {
  constexpr std::int64_t kLeastRows = 128, kMostRows = 2048, kEnoughChunks = 4096;
  LaunchPlan out{};
  out.warps = kMostWarps;
  out.shared = true;
  out.warp_bytes = (tile_bytes + 15) / 16 * 16;
  while (out.warps > 1 && out.warps * out.warp_bytes > limits.shared_bytes) out.warps /= 2;
  if (out.warps * out.warp_bytes > limits.shared_bytes) {
    out.wide = row_bytes >= 0;
    out.warps = kMostWarps;
    if (out.wide) out.warp_bytes = (row_bytes + 15) / 16 * 16;
    out.shared = out.warps * out.warp_bytes <= limits.shared_bytes;
  }
  // Few chunks leave processors idle, many spend their time in adding up.
  out.chunk = kLeastRows;
  while (out.chunk < kMostRows && (users + out.chunk - 1) / out.chunk * problems > kEnoughChunks) out.chunk *= 2;
  out.per_problem = users > 0 ? (users + out.chunk - 1) / out.chunk : 0;
  out.chunks = out.per_problem * problems;
  out.blocks = out.chunks < limits.most_blocks ? out.chunks : limits.most_blocks;
  if (!out.shared) {
    const std::int64_t block_bytes = out.warps * out.warp_bytes;
    const std::int64_t fit = kScratchMost / block_bytes;
    if (out.blocks > fit) out.blocks = fit > 1 ? fit : 1;
    out.scratch_bytes = out.blocks * block_bytes;
  }
  return out;
}

// A run of rows of one problem.
struct Chunk {
  std::int64_t problem, first, rows;
};

// The c-th chunk, of problems of `users` rows each.
BIDFCL_HD Chunk chunk_of(const LaunchPlan& plan, std::int64_t users, std::int64_t c) {
  const std::int64_t problem = c / plan.per_problem, first = (c - problem * plan.per_problem) * plan.chunk;
  const std::int64_t left = users - first;
  return {problem, first, left < 0 ? 0 : left < plan.chunk ? left : plan.chunk};
}

}  // namespace bidfcl
