// The descent's kernels: from everybody's choice at one multiplier down the hulls, step by step, in single precision.
// What floating point cannot tell is named, and left to exact arithmetic.
#pragma once

#include <cstdint>

#include "../../core/hull.h"
#include "kernels.h"

namespace bidfcl {

// Rows of so many treatments at the most.
constexpr int kMostDescended = 32;

// Rounded slopes are this close to the exact ones, relatively: two differences and a quotient, each rounded once.
constexpr double kDescentSlack = 1.0 / (1 << 20);

// Numbers that a pack has at the most.
constexpr std::size_t kWidestPack = 16;

// Rows as `is_plain` has them, of four treatments or more, as many as a pack of users has or more.
struct FirstJob {
  InstanceView<float> instance;
  float high, doubt;                 // the multiplier; how far a score may be off for the rounding of numbers to units
  WholeNumbers<float> whole;         // in units
  FixedPoint value_unit, cost_unit;  // of the sums
};

// Where everybody stands at `high`, and the first hull edge below it; arrays [users] by user. The caller owns them.
struct FirstRun {
  std::int32_t* choice;
  std::int32_t* stop;   // where the edge leads
  std::int32_t* slope;  // a float's bits. 0: there is none; negative: which one it is is not certain
  float* dearer;        // what it costs
  std::int32_t*
      odd;  // whose choice is not certain, or cannot be counted: nothing else is known of them, and slope is 0
  std::int64_t odd_count;
  Totals before;  // of the others' choices, in units
  Largest seen;
};

// How far down first edges alone spend `room` and leave `wanted` more: as a multiplier, a little lower than need be; 0
// if that is far below `high`.
struct LowestJob {
  const std::int32_t* slope;  // [users]: FirstRun's
  const float* dearer;
  std::int64_t users;
  float high, room;
  std::int32_t wanted;
};

// The listed users' edges from the first on, as far down as `low`.
struct MoreJob {
  InstanceView<float> instance;
  float low;
  double value_factor, cost_factor;  // to fixed point
  const std::int32_t* start;         // by user: FirstRun::choice and stop
  const std::int32_t* stop;
};

struct MoreRun {
  Edge* edges;        // room for all that these users may have; each user's are in order of position
  std::int32_t* odd;  // users whose hull is not certain: none of their edges is listed
  std::int64_t edge_count, odd_count;
};

template <class T>
struct DescentKernels {};

template <>
struct DescentKernels<float> {
  void (*first)(const FirstJob&, std::int64_t begin, std::int64_t end, FirstRun&);
  float (*lowest)(const LowestJob&);
  // The places k with low <= x[k] <= high, and how many; `out` has room for a pack more than all.
  std::int64_t (*pick)(const std::int32_t* x, std::int64_t count, std::int32_t low, std::int32_t high,
                       std::int32_t* out);
  void (*more)(const MoreJob&, const std::int32_t* users, std::int64_t count, MoreRun&);
};

BIDFCL_TABLES(DescentKernels, descent_table, descent_kernels)

}  // namespace bidfcl
