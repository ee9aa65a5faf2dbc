// A pack of users, treatment by treatment: visit(value, cost, index), a lane a user. Included by kernels alone.
#pragma once

#include <algorithm>

#include "../machine/columns.h"
#include "../machine/lanes.h"
#include "gather.h"
#include "kernels.h"

// Visitors are called from several places and must not become calls: packs would travel through memory.
#define BIDFCL_VISIT __attribute__((always_inline))

namespace bidfcl {
namespace BIDFCL_ARCH {

// Asks for what lies a page beyond `count` cells: the machine's own prefetcher stops at every page.
template <class Cell>
BIDFCL_HD void fetch_ahead(const Cell* cells, std::int64_t count) {
  constexpr std::int64_t kAhead = 4096;
  const char* ahead = reinterpret_cast<const char*>(cells) + kAhead;
  const std::int64_t bytes = count * static_cast<std::int64_t>(sizeof(Cell));
  for (std::int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
}

// Treatments that lie side by side, none closed: wide loads, and transposes in registers. M >= quad. `value(l)` and
// `cost(l)` are where the treatments of lane l's user start.
template <class T, class Value, class Cost, class Visit>
BIDFCL_HD void each_dense_column(const Value& value, const Cost& cost, int items, const Visit& visit) {
  using L = Lanes<T>;
  typename L::IntPack index = L::all_int(0);
  // The last step reaches back rather than past the end of the row; what it sees again is skipped.
  const int whole = items / L::quad * L::quad;
#pragma GCC unroll 4
  for (int first = 0; first < whole; first += L::quad) {
    typename L::Pack v[L::quad], c[L::quad];
    load_columns([&](int l) { return value(l) + first; }, v);
    load_columns([&](int l) { return cost(l) + first; }, c);
#pragma GCC unroll 4
    for (int k = 0; k < L::quad; ++k, index += 1) visit(v[k], c[k], index);
  }
  if (whole == items) return;
  typename L::Pack v[L::quad], c[L::quad];
  load_columns([&](int l) { return value(l) + (items - L::quad); }, v);
  load_columns([&](int l) { return cost(l) + (items - L::quad); }, c);
#pragma GCC unroll 4
  for (int k = 0; k < L::quad; ++k) {
    if (items - L::quad + k < whole) continue;
    visit(v[k], c[k], index);
    index += 1;
  }
}

// Any strides, any mask, rows of any length: one number at a time into the lanes.
template <class T, class Visit>
BIDFCL_HD void each_column(const InstanceView<T>& in, const std::int32_t* user, const Visit& visit) {
  using L = Lanes<T>;
  int longest = in.items;
  if (in.offsets != nullptr) {
    longest = 0;
    for (int l = 0; l < L::count; ++l) longest = std::max(longest, in.items_of(user[l]));
  }
  for (int j = 0; j < longest; ++j) {
    typename L::Pack value, cost;
    for (int l = 0; l < L::count; ++l) {
      const RowView<T> row = in.row(user[l]);
      const bool open = row.has(j);
      value[l] = open ? row.value_at(j) : kNever<T>;
      cost[l] = open ? row.cost_at(j) : 0;
    }
    visit(value, cost, L::all_int(j));
  }
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
