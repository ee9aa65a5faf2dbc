// The solver's kernels: what a run of users is given, what comes back, and the table of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../../core/fixed.h"
#include "../../core/hull.h"
#include "../../core/select.h"
#include "../../core/views.h"
#include "../machine/arch.h"

namespace bidfcl {

// A user that a sweep could not settle, and its choice at the bracket's high end; −1 where that is not certain.
struct Open {
  std::int32_t user, at;
};

// What a pass adds up, in fixed point.
struct Totals {
  int128 value = 0, cost = 0;

  void add(const Totals& other) {
    value += other.value;
    cost += other.cost;
  }
};

// The largest magnitudes of open cells; `finite` is false if any of them is NaN or infinite.
struct Largest {
  double value = 0, cost = 0;
  double least_cost = 0;  // the least that is not zero
  bool finite = true;

  void join(const Largest& other) {
    value = other.value > value ? other.value : value;
    cost = other.cost > cost ? other.cost : cost;
    least_cost =
        least_cost == 0 || (other.least_cost > 0 && other.least_cost < least_cost) ? other.least_cost : least_cost;
    finite &= other.finite;
  }
};

// Sums in whole numbers. Scales with room above leave most of a float's digits whole; a user with a number that is not
// (tiny beside the largest) is put off, and counted in the true scales when those are known. So nothing is rounded on
// the way, and the true scales need not be known beforehand.
template <class T>
struct WholeNumbers {
  bool use = false;           // float32 only
  T least_value, least_cost;  // magnitudes from here on are whole; so is zero
};

// So that whole numbers of kBlock users can be added up in 64 bits, by the two lanes of the narrowest pack.
constexpr int kWholeBits = 53;

// The users whose rows `WholeNumbers` cannot count.
constexpr std::int32_t kPutOff = -2;

template <class T>
struct SweepJob {
  InstanceView<T> instance;
  BracketEnds<T> ends;
  FixedPoint value_scale, cost_scale;
  WholeNumbers<T> whole;
  bool scan;             // only in whole numbers: the kernel joins the range's magnitudes to `seen`
  std::int32_t* choice;  // [N]
  // The users [begin, end) in columns, as the kernel of that name leaves them; null: read the instance itself.
  const T* value_columns = nullptr;
  const T* cost_columns = nullptr;
  void* scratch = nullptr;  // gather_scratch(instance) bytes, if that is not 0
};

// The users whose hull edges are wanted, as far as a bracket leaves them open.
template <class T>
struct WalkJob {
  InstanceView<T> instance;
  FixedPoint value_scale, cost_scale;
  WholeNumbers<T> whole;
  double low, high;  // slopes in fixed-point units
  bool scattered;    // the rows are not in cache, and far apart
};

// What is listed for a run of users. The caller owns the arrays.
struct WalkRun {
  Edge* edges;       // room for every edge that these users may have; each user's are in order of position
  std::int32_t* at;  // each user's choice before its listed edges; or kPutOff, and then nothing else of it
  void* scratch;     // walk_scratch(longest row) bytes, aligned to 64
  Totals before;     // totals of those choices
  bool closed_user;  // some user has no open treatment
};

// Three columns of eight 64-bit lanes for each treatment; and both of a user's rows in floats, for eight users.
constexpr std::size_t walk_scratch(int items) { return static_cast<std::size_t>(items) * 4 * 64; }

// Users swept, and then walked while their rows are in cache.
constexpr std::int64_t kBlock = 1024;

// Listed users lie far apart: the machine cannot guess where, so it is told this many users ahead.
constexpr std::int64_t kAhead = 32;

template <class T>
BIDFCL_HD void prefetch(const InstanceView<T>& in, std::int64_t user) {
  const RowView<T> row = in.row(user);
  constexpr int kMost = 512;  // after so many treatments the machine has seen where it goes
  for (int j = 0; j < row.items && j < kMost; j += 64 / static_cast<int>(sizeof(T))) row.prefetch(j);
  row.prefetch(row.items - 1);
}

// Rows that are not plain are copied, a few users' at a time, so that they become so. This many cells of each array:
// few enough to stay in cache, and two packs at least.
template <class T>
BIDFCL_HD std::int64_t gathered_cells(const InstanceView<T>& in) {
  constexpr std::int64_t kUsual = 4096;
  return std::max<std::int64_t>(kUsual, in.offsets ? in.items : 32 * std::int64_t{in.items});
}

// Whether kernels read rows where they are: plain ones, and halves by fours.
template <class T>
BIDFCL_HD bool is_read_in_place(const InstanceView<T>& in) {
  return in.is_plain() || (in.is_side_by_side() && in.offsets == nullptr && in.items >= 4);
}

// Bytes that this takes, aligned to 64; 0 if rows are read in place, or too long to be copied.
template <class T>
std::size_t gather_scratch(const InstanceView<T>& in) {
  constexpr std::int64_t kMost = 1 << 20;
  const std::int64_t cells = gathered_cells(in);
  if (is_read_in_place(in) || cells > kMost) return 0;
  return static_cast<std::size_t>(2 * cells) * sizeof(T) + static_cast<std::size_t>(kBlock + 1) * sizeof(std::int64_t);
}

// Multipliers probed at once; at a first look, which scans as well.
constexpr int kProbes = 8, kLooks = 4;

// What rows spend at each of the multipliers, the sums of squares of that, and how many choose otherwise at the next.
struct ProbeTotals {
  double spend[kProbes] = {}, squares[kProbes] = {};
  std::int64_t moved[kProbes] = {};

  void add(const ProbeTotals& other) {
    for (int k = 0; k < kProbes; ++k) {
      spend[k] += other.spend[k];
      squares[k] += other.squares[k];
      moved[k] += other.moved[k];
    }
  }
};

// The kernels of one instruction set. Over the users [begin, end): `sweep` adds up the settled ones and returns how
// many others it wrote to `open` (room for all of them); `whole_units` says whether every open cost is a whole number
// of units. `walk` lists the edges of the users named, and returns how many.
template <class T>
struct SolverKernels {
  std::int64_t (*sweep)(const SweepJob<T>&, std::int64_t begin, std::int64_t end, Totals&, Open* open, Largest& seen);
  std::int64_t (*walk)(const WalkJob<T>&, const Open* users, std::int64_t count, WalkRun&);
  void (*columns)(const InstanceView<T>&, std::int64_t begin, std::int64_t end, T* value, T* cost, void* scratch);
  Largest (*scan)(const InstanceView<T>&, std::int64_t begin, std::int64_t end);
  void (*probe)(const T* value, const T* cost, std::int64_t rows, int items, const T* multipliers, ProbeTotals&);
  Largest (*look)(const T* value, const T* cost, std::int64_t rows, int items, const T* multipliers, ProbeTotals&);
  bool (*whole_units)(const InstanceView<T>&, const FixedPoint&, std::int64_t begin, std::int64_t end);
};

BIDFCL_TABLES(SolverKernels, solver_table, solver_kernels)

}  // namespace bidfcl
