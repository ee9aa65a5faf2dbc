// csrc/cuda/machine/ordered.cuh for a machine without a GPU: Thrust's algorithms for the host.
#pragma once

#include <thrust/execution_policy.h>

#include "cuda/machine/launch.cuh"

namespace bidfcl {

template <class Algorithm>
void ordered(const Device&, const Algorithm& algorithm) {
  algorithm(thrust::host);
}

template <class Algorithm>
std::int64_t counted(const Device&, const Algorithm& algorithm) {
  ++waits();
  return algorithm(thrust::host);
}

}  // namespace bidfcl
