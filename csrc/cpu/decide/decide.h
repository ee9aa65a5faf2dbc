// The kernel of decisions at one multiplier.
#pragma once

#include "../solver/kernels.h"

namespace bidfcl {

template <class T>
struct DecideJob {
  InstanceView<T> instance;
  T multiplier;  // the nearest of the row's type; the margin of doubt allows for that
  T doubt;       // and for the rounding of numbers to units, and whatever margin is asked for
  FixedPoint value_scale, cost_scale;
  std::int32_t* choice;  // [N], written for everybody
};

// What a range of users holds. Magnitudes from a power of two on are whole numbers of units, smaller ones may not be.
struct Seen {
  Largest largest;
  double least_value = 0;  // of values that are not zero

  void join(const Seen& other) {
    largest.join(other.largest);
    if (least_value == 0 || (other.least_value > 0 && other.least_value < least_value)) least_value = other.least_value;
  }
};

// `decide` adds up value and cost of the users of [begin, end) whose best score beats all others beyond doubt, and
// returns how many others it wrote to `open` (room for all of them).
template <class T>
struct DecideKernels {
  std::int64_t (*decide)(const DecideJob<T>&, std::int64_t begin, std::int64_t end, Totals&, std::int32_t* open);
  Seen (*look)(const InstanceView<T>&, std::int64_t begin, std::int64_t end);
};

BIDFCL_TABLES(DecideKernels, decide_table, decide_kernels)

}  // namespace bidfcl
