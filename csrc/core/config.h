// What every header here assumes: how a function is marked for host and device, and the wide integer.
#pragma once

#include <cstdint>

// Always inlined, because the same header is compiled for several instruction sets in one library: a shared
// out-of-line copy could hold instructions that the machine does not have.
#if defined(__CUDACC__)
#define BIDFCL_HD __host__ __device__ __forceinline__
#else
#define BIDFCL_HD inline __attribute__((always_inline))
#endif

// Before a loop that a GPU's compiler should leave rolled: copies of a long body cost registers and save nothing.
#if defined(__CUDA_ARCH__)
#define BIDFCL_ROLLED _Pragma("unroll 1")
#else
#define BIDFCL_ROLLED
#endif

namespace bidfcl {

// Sums of up to 2^62 fixed-point numbers, and products of two differences, fit exactly.
__extension__ typedef __int128 int128;

}  // namespace bidfcl
