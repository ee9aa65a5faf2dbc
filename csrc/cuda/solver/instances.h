// From a call's pointers and strides to problems on the device.
#pragma once

#include <vector>

#include "cuda/device.h"
#include "cuda/machine/launch.cuh"
#include "cuda/solver/problems.h"
#include "shapes.h"

namespace bidfcl {

// Problems begin .. end − 1 of a call.
template <class T>
Instances<T> instances_of(const Device& device, const Problems& p, std::int64_t begin, std::int64_t end) {
  Instances<T> out{};
  const Stored storage = storage_of(p);
  bool alike = true;
  for (std::int64_t b = begin; b < end; ++b) {
    alike &= p.start[b] == p.start[begin] && p.stop[b] == p.stop[begin];
    const std::int64_t users = p.stop[b] - p.start[b];
    if (users > out.most) out.most = users;
  }
  const std::int64_t first = alike && begin < end ? p.start[begin] : 0;
  const auto at = [&](const std::int64_t* stride) { return begin * stride[0] + first * stride[1]; };
  out.base = {cell_address<T>(p.value, at(p.value_stride), storage),
              cell_address<T>(p.cost, at(p.cost_stride), storage),
              p.open ? p.open + at(p.open_stride) : nullptr,
              p.value_stride[1],
              p.value_stride[2],
              p.cost_stride[1],
              p.cost_stride[2],
              p.open_stride[1],
              p.open_stride[2],
              out.most,
              p.items,
              nullptr,
              storage};
  out.value_problem = p.value_stride[0];
  out.cost_problem = p.cost_stride[0];
  out.open_problem = p.open_stride[0];
  out.count = end - begin;
  if (!alike) {
    std::vector<std::int64_t> lists;
    for (std::int64_t b = begin; b < end; ++b) lists.push_back(p.start[b]);
    for (std::int64_t b = begin; b < end; ++b) lists.push_back(p.stop[b] - p.start[b]);
    auto* const there = device.room<std::int64_t>(static_cast<std::int64_t>(lists.size()));
    upload(device, there, lists.data(), static_cast<std::int64_t>(lists.size() * sizeof(std::int64_t)));
    out.first = there;
    out.users_of = there + out.count;
  }
  return out;
}

}  // namespace bidfcl
