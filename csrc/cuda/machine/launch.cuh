// All that touches the CUDA runtime: the only launches, thread indices, barriers, atomics, copies. Two generic kernels:
// a thread a row, and a warp a row. (The tests put another file of this name first on the include path, which loops
// over rows on the host.)
//
// A body is what happens to rows:
//   Sum                                            what is added up over rows: default-constructed, join(const Sum&)
//   users(problem)                                 how many rows it has
//   passes()                                       how many times each chunk of rows is gone through
//   skips(problem)                                 nothing to do for this problem
//   stage(problem, first, rows, lane, tile)        all lanes together bring 32 rows into the tile     (a thread a row)
//   row(problem, user, lane, pass, tile, sum)      one lane's row of it
//   unstage(problem, first, rows, lane, pass, tile)    all lanes together take rows out of the tile
//   wide_row(problem, user, group, pass, tile, sum)    a warp's row; the lane that leads adds to sum  (a warp a row)
//   finish(problem, chunk, pass, sum)              one thread, with the sum over a chunk
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "core/plan.h"
#include "cuda/device.h"
#include "cuda/machine/body.h"
#include "cuda/machine/warp_group.cuh"

namespace bidfcl {

inline void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}

// The calling thread uses `device` until the end of the block.
class OnDevice {
 public:
  explicit OnDevice(const Device& device) {
    check(cudaGetDevice(&before_));
    if (device.index != before_) check(cudaSetDevice(device.index));
    changed_ = device.index != before_;
  }
  ~OnDevice() {
    if (changed_) cudaSetDevice(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

inline cudaStream_t stream_of(const Device& device) { return static_cast<cudaStream_t>(device.stream); }

inline DeviceLimits limits_of(const Device&) {
  // Enough blocks to fill any device several times.
  return {kBlockShared - kBlockSum, 1 << 16, 1 << 16};
}

// --- what bodies may use ---------------------------------------------------------------------------------------------

// nvcc compiles a body for the host as well, where nobody calls it.
BIDFCL_HD std::uint64_t atomic_add(std::uint64_t* at, std::uint64_t x) {
#if defined(__CUDA_ARCH__)
  return atomicAdd(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(x));
#else
  return *at + x;
#endif
}
BIDFCL_HD void atomic_most(std::uint64_t* at, std::uint64_t x) {
#if defined(__CUDA_ARCH__)
  if (x > *at) atomicMax(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(x));
#else
  *at = x;
#endif
}

// --- the two kernels -------------------------------------------------------------------------------------------------

// The sum over a block, to finish() by one thread.
template <class Body, class Sum>
__device__ __forceinline__ void finish_block(const Body& body, const Chunk& chunk, std::int64_t c, int pass, Sum sum) {
  static_assert(sizeof(Sum) * kMostWarps <= kBlockSum, "the rest of a block's shared memory is promised to tiles");
  __shared__ Sum sums[kMostWarps];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  sum = over_lanes(sum);
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < warps; ++w) sum.join(sums[w]);
    body.finish(chunk.problem, c, pass, sum);
  }
  __syncthreads();
}

__device__ __forceinline__ char* scratch_of(const LaunchPlan& plan, void* scratch, char* shared) {
  const std::int64_t warp = threadIdx.x / kWarp;
  if (plan.shared) return shared + warp * plan.warp_bytes;
  return static_cast<char*>(scratch) + (blockIdx.x * static_cast<std::int64_t>(plan.warps) + warp) * plan.warp_bytes;
}

template <class Body>
__global__ void __launch_bounds__(kMostWarps* kWarp, Body::kBlocks)
    thread_a_row(const Body body, const LaunchPlan plan, void* scratch) {
  extern __shared__ __align__(16) char shared[];
  char* const tile = scratch_of(plan, scratch, shared);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  for (std::int64_t c = blockIdx.x; c < plan.chunks; c += gridDim.x) {
    const Chunk chunk = chunk_of(plan, body.users(c / plan.per_problem), c);
    if (body.skips(chunk.problem)) continue;
    for (int pass = 0; pass < body.passes(); ++pass) {
      typename Body::Sum sum{};
      for (std::int64_t at = warp * kWarp; at < chunk.rows; at += plan.warps * kWarp) {
        const std::int64_t first = chunk.first + at, left = chunk.rows - at;
        const int rows = left < kWarp ? static_cast<int>(left) : kWarp;
        body.stage(chunk.problem, first, rows, lane, tile);
        __syncwarp();
        if (lane < rows) body.row(chunk.problem, first + lane, lane, pass, tile, sum);
        __syncwarp();
        body.unstage(chunk.problem, first, rows, lane, pass, tile);
        __syncwarp();
      }
      finish_block(body, chunk, c, pass, sum);
    }
  }
}

template <class Body>
__global__ void __launch_bounds__(kMostWarps* kWarp, Body::kBlocks)
    warp_a_row(const Body body, const LaunchPlan plan, void* scratch) {
  extern __shared__ __align__(16) char shared[];
  char* const tile = scratch_of(plan, scratch, shared);
  const WarpGroup group{static_cast<int>(threadIdx.x) % kWarp};
  for (std::int64_t c = blockIdx.x; c < plan.chunks; c += gridDim.x) {
    const Chunk chunk = chunk_of(plan, body.users(c / plan.per_problem), c);
    if (body.skips(chunk.problem)) continue;
    for (int pass = 0; pass < body.passes(); ++pass) {
      typename Body::Sum sum{};
      for (std::int64_t at = threadIdx.x / kWarp; at < chunk.rows; at += plan.warps) {
        body.wide_row(chunk.problem, chunk.first + at, group, pass, tile, sum);
        __syncwarp();
      }
      finish_block(body, chunk, c, pass, sum);
    }
  }
}

template <class Body>
void launch(const Device& device, const LaunchPlan& plan, const Body& body) {
  if (plan.chunks == 0) return;
  void* const scratch = plan.shared ? nullptr : device.room<char>(plan.scratch_bytes);
  const auto blocks = static_cast<unsigned>(plan.blocks), threads = static_cast<unsigned>(plan.warps * kWarp);
  const auto bytes = static_cast<std::size_t>(plan.shared_bytes());
  if constexpr (KnowsWide<Body>::value) {
    if (plan.wide) {
      warp_a_row<<<blocks, threads, bytes, stream_of(device)>>>(body, plan, scratch);
      return check(cudaGetLastError());
    }
  }
  thread_a_row<<<blocks, threads, bytes, stream_of(device)>>>(body, plan, scratch);
  check(cudaGetLastError());
}

// --- memory ----------------------------------------------------------------------------------------------------------

inline void clear(const Device& device, void* at, std::int64_t bytes) {
  check(cudaMemsetAsync(at, 0, static_cast<std::size_t>(bytes), stream_of(device)));
}

inline void upload(const Device& device, void* to, const void* from, std::int64_t bytes) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream_of(device)));
}

// Waits until the stream has got so far.
inline void download(const Device& device, void* to, const void* from, std::int64_t bytes) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream_of(device)));
  check(cudaStreamSynchronize(stream_of(device)));
  ++waits();
}

inline void* take_memory(const Device& device, std::int64_t bytes) {
  void* out = nullptr;
  check(cudaMallocAsync(&out, static_cast<std::size_t>(bytes > 0 ? bytes : 1), stream_of(device)));
  return out;
}
inline void give_memory(const Device& device, void* at) { check(cudaFreeAsync(at, stream_of(device))); }

// How many devices there are; a sentence in `why` where there are none.
inline int count_devices(std::string& why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) why = cudaGetErrorString(error);
  return error == cudaSuccess ? count : 0;
}
inline std::string name_device(int index) {
  cudaDeviceProp device{};
  check(cudaGetDeviceProperties(&device, index));
  return std::string(device.name) + ", compute capability " + std::to_string(device.major) + "." +
         std::to_string(device.minor);
}
inline std::string runtime_name() {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  const auto in_words = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  return "CUDA " + in_words(CUDART_VERSION) + " (driver for " + in_words(driver) + ")";
}

}  // namespace bidfcl
