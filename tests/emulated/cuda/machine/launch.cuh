// csrc/cuda/machine/launch.cuh for a machine without a GPU: the same two kernels as loops. Chunks, warps and lanes run
// in random order, so that what needs a barrier and has none goes wrong; scratch is what was left there by others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/plan.h"
#include "cuda/device.h"
#include "cuda/machine/body.h"
#include "cuda/machine/warp_group.cuh"

namespace bidfcl {

class OnDevice {
 public:
  explicit OnDevice(const Device&) {}
};

// So that small problems take the road of large ones; and with fewer bytes of shared memory in BIDFCL_EMULATED_SHARED,
// few treatments that of many.
inline DeviceLimits limits_of(const Device&) {
  const char* const asked = std::getenv("BIDFCL_EMULATED_SHARED");
  return {asked ? std::atoll(asked) : kBlockShared - kBlockSum, 7, 200};
}

inline std::uint64_t atomic_add(std::uint64_t* at, std::uint64_t x) {
  const std::uint64_t before = *at;
  *at += x;
  return before;
}
inline void atomic_most(std::uint64_t* at, std::uint64_t x) { *at = std::max(*at, x); }

inline std::mt19937& dice() {
  thread_local std::mt19937 out(20240229);
  return out;
}

inline std::vector<std::int64_t> shuffled(std::int64_t count) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(count));
  std::iota(out.begin(), out.end(), 0);
  std::shuffle(out.begin(), out.end(), dice());
  return out;
}

template <class Body>
void finish_block(const Body& body, const Chunk& chunk, std::int64_t c, int pass,
                  std::vector<typename Body::Sum>& lanes) {
  using Sum = typename Body::Sum;
  Sum all{};
  for (std::size_t w = 0; w < lanes.size() / kWarp; ++w) {
    Sum parts[kWarp];
    std::copy_n(lanes.begin() + static_cast<std::ptrdiff_t>(w * kWarp), kWarp, parts);
    butterfly(parts, [](Sum& own, const Sum& other) { own.join(other); });
    if (w == 0) all = parts[0];
    else all.join(parts[0]);
  }
  body.finish(chunk.problem, c, pass, all);
}

template <class Body>
void launch(const Device&, const LaunchPlan& plan, const Body& body) {
  const auto warps = static_cast<std::size_t>(plan.warps);
  // What a real launch would refuse.
  if (plan.warps > kMostWarps ||
      plan.shared_bytes() + kMostWarps * std::int64_t{sizeof(typename Body::Sum)} > kBlockShared)
    throw std::logic_error("a block asks for more than there is");
  // Exactly as large as planned, so that a sanitizer sees who steps out of it.
  std::vector<std::vector<std::uint64_t>> tiles(warps);
  for (auto& tile : tiles) tile.assign(static_cast<std::size_t>(plan.warp_bytes / 8), 0x7ff4dead7ff4deadu);
  for (const std::int64_t c : shuffled(plan.chunks)) {
    const Chunk chunk = chunk_of(plan, body.users(c / plan.per_problem), c);
    if (body.skips(chunk.problem)) continue;
    for (int pass = 0; pass < body.passes(); ++pass) {
      std::vector<typename Body::Sum> sums(warps * kWarp);
      for (const std::int64_t w : shuffled(plan.warps)) {
        void* const tile = tiles[static_cast<std::size_t>(w)].data();
        auto* const own = &sums[static_cast<std::size_t>(w) * kWarp];
        if constexpr (KnowsWide<Body>::value) {
          if (plan.wide) {
            for (std::int64_t at = w; at < chunk.rows; at += plan.warps)
              body.wide_row(chunk.problem, chunk.first + at, WarpGroup{}, pass, static_cast<char*>(tile), own[0]);
            continue;
          }
        }
        for (std::int64_t at = w * kWarp; at < chunk.rows; at += plan.warps * kWarp) {
          const std::int64_t first = chunk.first + at;
          const int rows = static_cast<int>(std::min<std::int64_t>(kWarp, chunk.rows - at));
          const auto each_lane = [&](const auto& phase) {
            for (const std::int64_t lane : shuffled(kWarp)) phase(static_cast<int>(lane));
          };
          char* const cells = static_cast<char*>(tile);
          each_lane([&](int lane) { body.stage(chunk.problem, first, rows, lane, cells); });
          each_lane([&](int lane) {
            if (lane < rows) body.row(chunk.problem, first + lane, lane, pass, cells, own[lane]);
          });
          each_lane([&](int lane) { body.unstage(chunk.problem, first, rows, lane, pass, cells); });
        }
      }
      finish_block(body, chunk, c, pass, sums);
    }
  }
}

inline void clear(const Device&, void* at, std::int64_t bytes) { std::memset(at, 0, static_cast<std::size_t>(bytes)); }
inline void upload(const Device&, void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}
inline void download(const Device&, void* to, const void* from, std::int64_t bytes) {
  ++waits();
  if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

inline void* take_memory(const Device&, std::int64_t bytes) { return std::malloc(static_cast<std::size_t>(bytes) + 1); }
inline void give_memory(const Device&, void* at) { std::free(at); }
inline int count_devices(std::string&) { return 2; }
inline std::string name_device(int) { return "the host, a lane at a time"; }
inline std::string runtime_name() { return "no CUDA"; }

}  // namespace bidfcl
