// Device-wide sort, scan and select: CCCL's, on the caller's stream and in its memory. Apart from launch.cuh, since its
// headers take longer to compile than most kernels. (The tests put another file of this name first on the include
// path.)
#pragma once

#include <thrust/system/cuda/execution_policy.h>

#include "cuda/machine/launch.cuh"

namespace bidfcl {

// Thrust's temporary memory is the caller's too.
struct CallersMemory {
  using value_type = char;
  const Device* device;
  char* allocate(std::ptrdiff_t bytes) { return device->room<char>(bytes); }
  void deallocate(char*, std::size_t) {}
};

// algorithm(policy), on the caller's stream and in its memory; nobody waits unless the algorithm returns a number.
template <class Algorithm>
void ordered(const Device& device, const Algorithm& algorithm) {
  CallersMemory memory{&device};
  algorithm(thrust::cuda::par_nosync(memory).on(stream_of(device)));
}

// The number that algorithm(policy) returns, for which Thrust waits.
template <class Algorithm>
std::int64_t counted(const Device& device, const Algorithm& algorithm) {
  std::int64_t out = 0;
  ordered(device, [&](const auto& policy) { out = algorithm(policy); });
  ++waits();
  return out;
}

}  // namespace bidfcl
