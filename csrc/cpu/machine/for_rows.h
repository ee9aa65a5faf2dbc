// The parallel loop: [0, n) in chunks. Results are kept by chunk and combined in chunk order, or are integers, so the
// number of threads never shows.
#pragma once

#include <cstdint>

#include "threads.h"

namespace bidfcl {

// body(k, begin, end) for every chunk k.
template <class Body>
void for_chunks(std::int64_t n, std::int64_t chunk, int threads, const Body& body) {
  struct Context {
    const Body& body;
    std::int64_t n, chunk;
  } context{body, n, chunk};
  const auto call = [](void* given, std::int64_t k) {
    const Context& c = *static_cast<const Context*>(given);
    const std::int64_t begin = k * c.chunk;
    c.body(k, begin, begin + c.chunk < c.n ? begin + c.chunk : c.n);
  };
  run_parallel((n + chunk - 1) / chunk, threads, call, &context);
}

}  // namespace bidfcl
