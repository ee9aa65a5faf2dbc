// The parallel loop: [0, n) in chunks. Results are kept by chunk and combined in chunk order, or are integers, so the
// number of threads never shows.
#pragma once

#include <cstdint>
#include <exception>

namespace bidfcl {

template <class Body>
void for_chunks(std::int64_t n, std::int64_t chunk, int threads, const Body& body) {
  const std::int64_t chunks = (n + chunk - 1) / chunk;
  std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1 && chunks > 1)
  for (std::int64_t k = 0; k < chunks; ++k) {
    const std::int64_t begin = k * chunk, end = begin + chunk < n ? begin + chunk : n;
    try {
      body(k, begin, end);
    } catch (...) {  // memory, in practice; it must not cross the parallel region
#pragma omp critical(bidfcl_failure)
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace bidfcl
