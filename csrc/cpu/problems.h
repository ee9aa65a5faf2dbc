// From the boundary's pointers and strides to one problem's view.
#pragma once

#include "../capi.h"
#include "../core/views.h"

namespace bidfcl {

template <class T>
InstanceView<T> instance_of(const Problems& p, std::int64_t b) {
  const std::int64_t first = p.start[b];
  return {static_cast<const T*>(p.value) + b * p.value_stride[0] + first * p.value_stride[1],
          static_cast<const T*>(p.cost) + b * p.cost_stride[0] + first * p.cost_stride[1],
          p.open ? p.open + b * p.open_stride[0] + first * p.open_stride[1] : nullptr,
          p.value_stride[1],
          p.value_stride[2],
          p.cost_stride[1],
          p.cost_stride[2],
          p.open_stride[1],
          p.open_stride[2],
          p.stop[b] - first,
          p.items};
}

}  // namespace bidfcl
