// Where the numbers lie. Views own nothing; strides are in elements and may be zero or negative.
#pragma once

#include "config.h"

namespace bidfcl {

// One user's treatments: value, cost, and which of them are open.
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
  // For rows side by side in lanes: the shorter ones are closed at the end.
  BIDFCL_HD bool has(int j) const { return j < items && open_at(j); }
};

// One problem: N users by M treatments; or users of unlike length, whose cells stand one after the other.
template <class T>
struct InstanceView {
  const T* value;
  const T* cost;
  const std::uint8_t* open;
  std::int64_t value_row, value_item, cost_row, cost_item, open_row, open_item;
  std::int64_t users;
  int items;  // of the longest row
  // [users + 1]: user i has the cells offsets[i] .. offsets[i + 1] − 1, an item apart. Null: all rows are as long, a
  // row apart.
  const std::int64_t* offsets = nullptr;

  BIDFCL_HD int items_of(std::int64_t i) const {
    return offsets ? static_cast<int>(offsets[i + 1] - offsets[i]) : items;
  }

  BIDFCL_HD RowView<T> row(std::int64_t i) const {
    const std::int64_t at = offsets ? offsets[i] : i;
    return {value + at * (offsets ? value_item : value_row),
            cost + at * (offsets ? cost_item : cost_row),
            open ? open + at * (offsets ? open_item : open_row) : nullptr,
            value_item,
            cost_item,
            open_item,
            items_of(i)};
  }

  // Whether treatments lie side by side, none closed.
  BIDFCL_HD bool is_plain() const { return value_item == 1 && cost_item == 1 && open == nullptr; }
};

}  // namespace bidfcl
