// A loop over a row's treatments: written out where their number is known to the compiler, so that a row stays in
// registers.
#pragma once

#include <type_traits>

#include "config.h"

namespace bidfcl {

template <class Body>
BIDFCL_HD void each_item(int items, const Body& body) {
  for (int j = 0; j < items; ++j) body(j);
}
template <int Items, class Body>
BIDFCL_HD void each_item(std::integral_constant<int, Items>, const Body& body) {
#if defined(__CUDA_ARCH__)
#pragma unroll
#elif !defined(__CUDACC__)
#pragma GCC unroll 16
#endif
  for (int j = 0; j < Items; ++j) body(j);
}

}  // namespace bidfcl
