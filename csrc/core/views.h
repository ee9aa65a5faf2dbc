// Where the numbers lie. Views own nothing; strides are in elements and may be zero or negative.
#pragma once

#include "config.h"

namespace bidfcl {

// One user's M treatments: value, cost, and which of them are open.
template <class T>
struct RowView {
  const T* value;
  const T* cost;
  const std::uint8_t* open;  // null: all
  std::int64_t value_stride, cost_stride, open_stride;
  int items;

  BIDFCL_HD T value_at(int j) const { return value[j * value_stride]; }
  BIDFCL_HD T cost_at(int j) const { return cost[j * cost_stride]; }
  BIDFCL_HD bool open_at(int j) const { return open == nullptr || open[j * open_stride] != 0; }
};

// One problem: N users by M treatments.
template <class T>
struct InstanceView {
  const T* value;
  const T* cost;
  const std::uint8_t* open;
  std::int64_t value_row, value_item, cost_row, cost_item, open_row, open_item;
  std::int64_t users;
  int items;

  BIDFCL_HD RowView<T> row(std::int64_t i) const {
    return {value + i * value_row,
            cost + i * cost_row,
            open ? open + i * open_row : nullptr,
            value_item,
            cost_item,
            open_item,
            items};
  }
};

}  // namespace bidfcl
