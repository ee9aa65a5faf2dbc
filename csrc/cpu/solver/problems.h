// From the boundary's pointers and strides to one problem's view.
#pragma once

#include <algorithm>

#include "../../core/views.h"
#include "../../shapes.h"

namespace bidfcl {

template <class T>
InstanceView<T> ragged_instance_of(const Problems& p, std::int64_t b) {
  const std::int64_t users = p.stop[b] - p.start[b];
  const std::int64_t* offsets = p.offsets + p.start[b];
  int longest = p.items;
  if (users < p.users) {
    longest = 1;
    for (std::int64_t i = 0; i < users; ++i) longest = std::max(longest, static_cast<int>(offsets[i + 1] - offsets[i]));
  }
  return {cell_address<T>(p.value, b * p.value_stride[0], storage_of(p)),
          cell_address<T>(p.cost, b * p.cost_stride[0], storage_of(p)),
          p.open ? p.open + b * p.open_stride[0] : nullptr,
          0,
          p.value_stride[2],
          0,
          p.cost_stride[2],
          0,
          p.open_stride[2],
          users,
          longest,
          offsets,
          storage_of(p)};
}

template <class T>
InstanceView<T> instance_of(const Problems& p, std::int64_t b) {
  const std::int64_t first = p.start[b];
  if (p.offsets != nullptr) return ragged_instance_of<T>(p, b);
  return {cell_address<T>(p.value, b * p.value_stride[0] + first * p.value_stride[1], storage_of(p)),
          cell_address<T>(p.cost, b * p.cost_stride[0] + first * p.cost_stride[1], storage_of(p)),
          p.open ? p.open + b * p.open_stride[0] + first * p.open_stride[1] : nullptr,
          p.value_stride[1],
          p.value_stride[2],
          p.cost_stride[1],
          p.cost_stride[2],
          p.open_stride[1],
          p.open_stride[2],
          p.stop[b] - first,
          p.items,
          nullptr,
          storage_of(p)};
}

// Waking a thread costs more than reading this many numbers.
constexpr std::int64_t kWorthThreads = 1 << 18;

}  // namespace bidfcl
