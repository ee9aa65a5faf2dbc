// What the sizes, strides and types of a call say, whoever serves it.
#pragma once

#include <algorithm>

#include "capi.h"
#include "core/half.h"

namespace bidfcl {

// Float64 is reckoned with as double, all else as float.
inline bool is_double(const Problems& p) { return p.dtype == kFloat64; }

inline Stored storage_of(const Problems& p) {
  if (p.dtype == kFloat16) return Stored::kFloat16;
  return p.dtype == kBFloat16 ? Stored::kBFloat16 : Stored::kOwn;
}

// Of a loss's arrays, from its storage code.
inline Stored stored_as(int storage) {
  if (storage == kStoreFloat16) return Stored::kFloat16;
  return storage == kStoreBfloat16 ? Stored::kBFloat16 : Stored::kOwn;
}

// Whether all problems are about the same users: they differ in their budget alone.
inline bool is_one_instance(const Problems& p) {
  const auto same = [&](const std::int64_t* x) {
    return std::all_of(x, x + p.count, [&](std::int64_t y) { return y == x[0]; });
  };
  return p.value_stride[0] == 0 && p.cost_stride[0] == 0 && p.open_stride[0] == 0 && same(p.start) && same(p.stop);
}

// Of the largest problem.
inline std::int64_t most_users(const Problems& p) {
  std::int64_t users = 0;
  for (std::int64_t b = 0; b < p.count; ++b) users = std::max(users, p.stop[b] - p.start[b]);
  return users;
}

}  // namespace bidfcl
