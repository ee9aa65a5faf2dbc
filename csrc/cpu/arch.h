// One source, several instruction sets: the files compiled per target live in a namespace named after it, and
// arch.cpp picks one table of kernels when the library is loaded.
#pragma once

#include <cstdint>

#include "../core/fixed.h"
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

// The largest magnitudes of open cells; `finite` is false if any of them is NaN or infinite.
struct Largest {
  double value = 0, cost = 0;
  bool finite = true;
};

// The kernels of one instruction set. `sweep` visits users [begin, end) and returns how many it wrote to `active`.
template <class T>
struct Kernels {
  std::int64_t (*sweep)(const SweepJob<T>&, std::int64_t begin, std::int64_t end, SweepTotals&, Active* active);
  Largest (*scan)(const InstanceView<T>&, std::int64_t begin, std::int64_t end);
};

struct Arch {
  const char* name;
  Kernels<float> f32;
  Kernels<double> f64;

  template <class T>
  const Kernels<T>& kernels() const;
};
template <>
inline const Kernels<float>& Arch::kernels<float>() const { return f32; }
template <>
inline const Kernels<double>& Arch::kernels<double>() const { return f64; }

// The instruction set in use: the widest this machine has, or the one BIDFCL_ARCH in the environment names.
const Arch& arch();

}  // namespace bidfcl
