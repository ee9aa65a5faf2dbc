// Users of unlike length, by length: packs of like users waste few lanes. Included by kernels.cpp alone.
#pragma once

#include <algorithm>

#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// The users [begin, end), at most kBlock of them: the longest rows first.
template <class T>
void by_length(const InstanceView<T>& in, std::int64_t begin, std::int64_t end, std::int32_t* order) {
  constexpr int kLong = 64;  // counted up to here; the few that are longer are sorted
  const auto place = [&](std::int64_t i) { return kLong - std::min(kLong, in.items_of(i)); };
  std::int32_t first[kLong + 2] = {};
  for (std::int64_t i = begin; i < end; ++i) ++first[place(i) + 1];
  const std::int32_t many = first[1];
  for (int k = 1; k <= kLong; ++k) first[k + 1] += first[k];
  for (std::int64_t i = begin; i < end; ++i) order[first[place(i)]++] = static_cast<std::int32_t>(i);
  std::sort(order, order + many, [&](std::int32_t a, std::int32_t b) { return in.items_of(a) > in.items_of(b); });
}

// How many of the users listed, at most `most`, make a pack that is at least half full.
template <class T>
int like_users(const InstanceView<T>& in, const std::int32_t* order, std::int64_t most) {
  const int least = in.items_of(order[0]) / 2;
  int users = 1;
  while (users < most && in.items_of(order[users]) >= least) ++users;
  return users;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
