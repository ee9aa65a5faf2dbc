// The problems of a call as the device sees them.
#pragma once

#include "capi.h"
#include "core/fixed.h"
#include "core/views.h"
#include "cuda/machine/tile.h"

namespace bidfcl {

// Problems side by side: problem b has users first[b] .. first[b] + users[b] − 1 of the b-th arrays. Without those
// lists every problem has all `most` users.
template <class T>
struct Instances {
  InstanceView<T> base;                                    // of problem 0, from its user 0 on
  std::int64_t value_problem, cost_problem, open_problem;  // elements between problems
  std::int64_t count, most;
  const std::int64_t* first;  // [count] on the device, or null
  const std::int64_t* users_of;

  BIDFCL_HD std::int64_t users(std::int64_t b) const { return users_of ? users_of[b] : most; }
  BIDFCL_HD InstanceView<T> problem(std::int64_t b) const {
    InstanceView<T> out = base;
    const std::int64_t i = first ? first[b] : 0;
    out.value = cell_address<T>(base.value, b * value_problem + i * base.value_row, base.storage);
    out.cost = cell_address<T>(base.cost, b * cost_problem + i * base.cost_row, base.storage);
    if (base.open) out.open = base.open + b * open_problem + i * base.open_row;
    out.users = users(b);
    return out;
  }
};

// Value and cost of 32 rows, and one of them.
template <class T>
struct RowTile {
  T *value, *cost;

  static BIDFCL_HD std::int64_t bytes(int items) {
    return 2 * kWarp * row_pitch(items) * static_cast<std::int64_t>(sizeof(T));
  }
  BIDFCL_HD RowTile(char* tile, int items)
      : value(reinterpret_cast<T*>(tile)), cost(value + kWarp * row_pitch(items)) {}

  BIDFCL_HD void stage(const InstanceView<T>& in, std::int64_t first, int rows, int lane) const {
    stage_cells({in.value, in.value_row, in.value_item, in.storage}, first, rows, in.items, lane, value);
    stage_cells({in.cost, in.cost_row, in.cost_item, in.storage}, first, rows, in.items, lane, cost);
  }
  BIDFCL_HD RowTile row(int lane, int items) const {
    RowTile out = *this;
    out.value += lane * row_pitch(items);
    out.cost += lane * row_pitch(items);
    return out;
  }
};

// The scales of values and costs of one problem.
struct Scales {
  FixedPoint value, cost;
};

}  // namespace bidfcl
