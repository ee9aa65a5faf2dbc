// Where the numbers lie. Views own nothing; strides are in elements and may be zero or negative.
#pragma once

#include "config.h"
#include "half.h"

namespace bidfcl {

// One user's treatments: value, cost, and which of them are open. They are reckoned with as T, however they are stored.
template <class T>
struct RowView {
  const void* value;
  const void* cost;
  const std::uint8_t* open;  // null: all
  std::int64_t value_stride, cost_stride, open_stride;
  int items;
  Stored storage;

  BIDFCL_HD T value_at(int j) const { return read_cell<T>(value, j * value_stride, storage); }
  BIDFCL_HD T cost_at(int j) const { return read_cell<T>(cost, j * cost_stride, storage); }
  BIDFCL_HD bool open_at(int j) const { return open == nullptr || open[j * open_stride] != 0; }
  // For rows side by side in lanes: the shorter ones are closed at the end.
  BIDFCL_HD bool has(int j) const { return j < items && open_at(j); }

  BIDFCL_HD void prefetch(int j) const {
    __builtin_prefetch(cell_address<T>(value, j * value_stride, storage));
    __builtin_prefetch(cell_address<T>(cost, j * cost_stride, storage));
  }
};

// One problem: N users by M treatments; or users of unlike length, whose cells stand one after the other.
template <class T>
struct InstanceView {
  const void* value;
  const void* cost;
  const std::uint8_t* open;
  std::int64_t value_row, value_item, cost_row, cost_item, open_row, open_item;
  std::int64_t users;
  int items;  // of the longest row
  // [users + 1]: user i has the cells offsets[i] .. offsets[i + 1] − 1, an item apart. Null: all rows are as long, a
  // row apart.
  const std::int64_t* offsets = nullptr;
  Stored storage = Stored::kOwn;

  BIDFCL_HD int items_of(std::int64_t i) const {
    return offsets ? static_cast<int>(offsets[i + 1] - offsets[i]) : items;
  }

  BIDFCL_HD RowView<T> row(std::int64_t i) const {
    const std::int64_t at = offsets ? offsets[i] : i;
    return {cell_address<T>(value, at * (offsets ? value_item : value_row), storage),
            cell_address<T>(cost, at * (offsets ? cost_item : cost_row), storage),
            open ? open + at * (offsets ? open_item : open_row) : nullptr,
            value_item,
            cost_item,
            open_item,
            items_of(i),
            storage};
  }

  // Whether treatments lie side by side, none closed; plain: as T, and then these are the arrays.
  BIDFCL_HD bool is_side_by_side() const { return value_item == 1 && cost_item == 1 && open == nullptr; }
  BIDFCL_HD bool is_plain() const { return is_side_by_side() && storage == Stored::kOwn; }
  BIDFCL_HD const T* values() const { return static_cast<const T*>(value); }
  BIDFCL_HD const T* costs() const { return static_cast<const T*>(cost); }
};

}  // namespace bidfcl
