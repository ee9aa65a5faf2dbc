// One source, several instruction sets: the files compiled per target live in a namespace named after it, and
// arch.cpp picks one table of kernels when the library is loaded.
#pragma once

#include <cstdint>

#include "../core/fixed.h"
#include "../core/hull.h"
#include "../core/select.h"
#include "../core/views.h"

#ifndef BIDFCL_ARCH
#define BIDFCL_ARCH generic
#endif

namespace bidfcl {

// A user whose choice differs between the ends of a bracket, or is not certain at one of them (then -1).
struct Active {
  std::int32_t user, low, high;
};

// What a sweep adds up, in fixed point, over its settled users: those who choose alike at both ends, certainly.
struct SweepTotals {
  int128 value = 0, cost = 0;
};

template <class T>
struct SweepJob {
  InstanceView<T> instance;
  const Active* users;  // the users to visit; null: begin, begin + 1, ...
  BracketEnds<T> ends;
  FixedPoint value_scale, cost_scale;
  std::int32_t* choice;  // [N]
};

// The users whose hull edges are wanted, as far as a bracket leaves them open.
template <class T>
struct EdgeJob {
  InstanceView<T> instance;
  const Active* users;  // null: 0, 1, ...
  std::int64_t count;
  FixedPoint value_scale, cost_scale;
  double low, high;  // slopes in fixed-point units
};

// What is listed for a run of users. The caller owns the arrays: room for items − 1 edges a user.
struct EdgeRun {
  Edge* edges;         // by user, then position
  std::int32_t* at;    // each user's choice before its listed edges
  SweepTotals before;  // totals of those choices
  bool closed_user;    // some user has no open treatment
  FixedRow row;        // scratch
};

// The largest magnitudes of open cells; `finite` is false if any of them is NaN or infinite.
struct Largest {
  double value = 0, cost = 0;
  double least_value = 0, least_cost = 0;  // the least magnitudes that are not zero
  bool finite = true;

  void join(const Largest& other) {
    value = other.value > value ? other.value : value;
    cost = other.cost > cost ? other.cost : cost;
    least_value = least_value == 0 || (other.least_value > 0 && other.least_value < least_value) ? other.least_value
                                                                                                 : least_value;
    least_cost =
        least_cost == 0 || (other.least_cost > 0 && other.least_cost < least_cost) ? other.least_cost : least_cost;
    finite &= other.finite;
  }
};

// Users scanned and swept together, while their rows are in cache.
constexpr std::int64_t kBlock = 1024;

// Listed users lie far apart: the machine cannot guess where, so it is told this many users ahead.
constexpr std::int64_t kAhead = 32;

template <class T>
BIDFCL_HD void prefetch(const InstanceView<T>& in, std::int64_t user) {
  const RowView<T> row = in.row(user);
  for (int j = 0; j < row.items; j += 64 / static_cast<int>(sizeof(T))) {
    __builtin_prefetch(row.value + j * row.value_stride);
    __builtin_prefetch(row.cost + j * row.cost_stride);
  }
  __builtin_prefetch(row.value + (row.items - 1) * row.value_stride);
  __builtin_prefetch(row.cost + (row.items - 1) * row.cost_stride);
}

// The kernels of one instruction set, over users [begin, end). `sweep` returns how many it wrote to `active`, `walk`
// how many edges it wrote, `whole_units` whether every open cost is a whole
// number of a scale's units.
template <class T>
struct Kernels {
  std::int64_t (*sweep)(const SweepJob<T>&, std::int64_t begin, std::int64_t end, SweepTotals&, Active* active);
  std::int64_t (*walk)(const EdgeJob<T>&, std::int64_t begin, std::int64_t end, EdgeRun&);
  Largest (*scan)(const InstanceView<T>&, std::int64_t begin, std::int64_t end);
  bool (*whole_units)(const InstanceView<T>&, const FixedPoint&, std::int64_t begin, std::int64_t end);
};

struct Arch {
  const char* name;
  Kernels<float> f32;
  Kernels<double> f64;

  template <class T>
  const Kernels<T>& kernels() const;
};
template <>
inline const Kernels<float>& Arch::kernels<float>() const {
  return f32;
}
template <>
inline const Kernels<double>& Arch::kernels<double>() const {
  return f64;
}

// The instruction set in use: the widest this machine has, or the one BIDFCL_ARCH in the environment names.
const Arch& arch();

}  // namespace bidfcl
