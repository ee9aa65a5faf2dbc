// The climb's kernels: all hulls at once, in single precision, and the choices at many multipliers that follow.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../core/views.h"
#include "../machine/arch.h"

namespace bidfcl {

// Rows that are climbed: so many treatments at the most.
constexpr int kMostClimbed = 32;

// Rounded slopes are this close to the exact ones, relatively: two differences and a quotient, each rounded once.
constexpr double kClimbSlack = 1.0 / (1 << 20);

// A monotone map from positive floats to buckets: they order like the integers that hold their bits.
struct FloatBuckets {
  std::int32_t lowest = 0;
  int shift = 18, count = 1 << 13;  // all positive floats

  static std::int32_t bits(float x) {
    std::int32_t out;
    std::memcpy(&out, &x, sizeof out);
    return out;
  }
  static FloatBuckets between(float low, float high, int count) {
    FloatBuckets out{bits(low), 0, count};
    while ((bits(high) - out.lowest) >> out.shift >= count) ++out.shift;
    return out;
  }
  int operator()(float slope) const {
    const std::int32_t at = bits(slope) < lowest ? 0 : (bits(slope) - lowest) >> shift;
    return at < count ? at : count - 1;
  }
  // The least float of a bucket.
  float floor(int bucket) const {
    const std::int32_t at = lowest + bucket * (std::int32_t{1} << shift);
    float out;
    std::memcpy(&out, &at, sizeof out);
    return out;
  }
};

// Rows side by side, none closed, a pack of users or more, at least four treatments each, in floats or halves;
// magnitudes that are not 0 lie far inside the range of float, so that no difference or quotient of them leaves it.
struct ClimbJob {
  InstanceView<float> instance;
  FloatBuckets map;
  float low;  // hulls are climbed while edges are as steep as this
};

// What edges of a bucket cost, in units of `ChartJob`, and how many they are.
struct ChartCell {
  std::int64_t cost = 0, edges = 0;
};

struct ChartJob {
  ClimbJob climb;
  float factor;   // costs become integers below 2^31
  bool find_odd;  // else ChartTotals::odd stays as it is
};

// What everybody's cheapest choices cost, and of how many users the hull is not certain.
struct ChartTotals {
  std::int64_t cost = 0, odd = 0;
};

// A zone is a range of buckets; zones do not meet, and stand in falling order. Edges above a zone are bought at its
// high end.
struct StairsJob {
  ClimbJob climb;
  float least_value, least_cost;     // magnitudes from here on are whole numbers of units; so is 0
  double value_factor, cost_factor;  // to those units
  const std::int32_t* place;         // [buckets]: the first zone that an edge lies above, and kInZone if it is in the
                                     // one before
  int zones;
  std::int32_t* const* choice;  // the arrays [users] of zone z are choice[first[z]] .. choice[first[z + 1] − 1]
  const std::int32_t* first;    // [zones + 1]
  bool past_cache;              // `choice` is large: written with streaming stores
};
constexpr std::int32_t kInZone = 1 << 24;

// An edge inside a zone.
struct ZoneEdge {
  std::int32_t user, zone, position, start, stop;
};

// Users that stairs are climbed for at a time: few enough that sums of whole numbers fit 64 bits.
constexpr std::int64_t kClimbed = 256;

// What a run of users adds. The caller owns the arrays.
struct StairsRun {
  std::int64_t* value;  // [zones + 2]: bought from that zone on; the last: before all edges
  std::int64_t* cost;
  ZoneEdge* edges;    // room for (treatments − 1) a user
  std::int32_t* odd;  // users of whom nothing is known
  void* moves;        // moves_scratch(zones) bytes, aligned to 64
  std::int64_t edge_count, odd_count;
};

// A 32-bit number for each lane of the widest pack, each zone, and what lies beyond.
constexpr std::size_t moves_scratch(std::size_t zones) { return (zones + 1) * 64; }

template <class T>
struct ClimbKernels {};

template <>
struct ClimbKernels<float> {
  void (*chart)(const ChartJob&, std::int64_t begin, std::int64_t end, ChartCell* cells, ChartTotals&);
  void (*stairs)(const StairsJob&, std::int64_t begin, std::int64_t end, StairsRun&);
};

BIDFCL_TABLES(ClimbKernels, climb_table, climb_kernels)

}  // namespace bidfcl
