// A parallel merge sort over std::sort and std::inplace_merge: pieces first, then pairs of neighbours.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "for_rows.h"

namespace bidfcl {

template <class T, class Less>
void sort_in_parallel(std::vector<T>& items, Less less, int threads) {
  const auto n = static_cast<std::int64_t>(items.size());
  std::int64_t pieces = 1;
  while (pieces < threads && n / pieces > 4096) pieces *= 2;
  const auto bound = [&](std::int64_t k) { return items.begin() + k * n / pieces; };
  for_chunks(pieces, 1, threads,
             [&](std::int64_t k, std::int64_t, std::int64_t) { std::sort(bound(k), bound(k + 1), less); });
  for (std::int64_t width = 1; width < pieces; width *= 2)
    for_chunks(pieces / (2 * width), 1, threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
      const std::int64_t at = 2 * width * k;
      std::inplace_merge(bound(at), bound(at + width), bound(at + 2 * width), less);
    });
}

}  // namespace bidfcl
