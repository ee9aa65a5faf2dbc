// One reading of all users with a bracket: who is settled is added up, and of the others the hull edges inside the
// bracket are kept, and counted by slope.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "../../core/buckets.h"
#include "../../core/search.h"
#include "../machine/lender.h"
#include "alike.h"
#include "kernels.h"
#include "lister.h"

namespace bidfcl {

// An edge that is kept; its value and cost can be had from its row again. A user's stand in order of position.
struct Listed {
  double slope;  // in fixed-point units
  std::int32_t user, position, start, stop;
};

struct Bucket {
  Totals totals;
  std::int64_t edges = 0;

  void add(const Totals& edge, std::int64_t times) {
    totals.value += edge.value * times;
    totals.cost += edge.cost * times;
    edges += times;
  }
};

// What a chunk's users have listed.
struct Part {
  std::vector<Listed> listed;
  std::vector<Kind> kinds;  // whose twins have the same edges

  // see(edge, user) for every user's every edge; a user's in order of position. `edge.user` may be another with the
  // same row.
  template <class See>
  void each(const See& see) const {
    for (const Listed& e : listed) see(e, e.user);
    for (const Kind& kind : kinds)
      for (std::size_t k = kind.first; k < kind.last; ++k)
        for (const std::int32_t user : kind.twins) see(listed[k], user);
  }

  // The same, backwards.
  template <class See>
  void each_backwards(const See& see) const {
    for (const Kind& kind : kinds)
      for (std::size_t k = kind.last; k-- > kind.first;)
        for (const std::int32_t user : kind.twins) see(listed[k], user);
    for (auto e = listed.rbegin(); e != listed.rend(); ++e) see(*e, e->user);
  }
};

// The scratch of one thread.
struct PassWorker {
  Lister lister;
  AlignedMemory columns, gathered;
  std::vector<Open> open;
  std::vector<Listed> listed;
  Alike alike;
  std::vector<Open> put_off;
  std::vector<Bucket> buckets;
  Totals before;
  int128 at_start = 0;                  // `before` when the chunk began
  double listed_cost = 0;               // of this chunk
  std::int64_t users = 0, waiting = 0;  // walked; to be walked, from the start of `open`
};

// Memory that one problem after the other can use.
struct PassMemory {
  Lender<PassWorker> workers;
  std::vector<Part> parts;
  double near = std::nan("");  // the multiplier of the problem before: a guess for the next
  bool daring = true;          // so far, no bracket that was interpolated has missed
};

struct PassResult {
  Bracket bracket;              // what was asked, or inside it
  Totals before;                // of everybody's choice at its high end
  std::vector<Bucket> buckets;  // of the edges inside the bracket, by `map`
  SlopeBuckets map;
  std::int64_t open = 0;      // users with such edges, or too close to call in floating point
  bool closed_user = false;   // some user has no open treatment
  Largest largest;            // of all numbers, if the pass was to scan as well
  bool usable = true;         // false: some number lies beyond the guess; nothing else above holds
  bool hopeless = false;      // the first chunks show that the bracket misses: nobody else was read, and nothing holds
  std::int64_t rows = 0;      // users read
  std::vector<Open> put_off;  // users that nothing above knows of yet
};

// Whether there are numbers of type T that the scales make whole; see WholeNumbers.
template <class T>
bool can_count_whole(const FixedPoint& value_scale, const FixedPoint& cost_scale);

template <class T>
struct PassJob {
  InstanceView<T> instance;
  Bracket bracket;  // multipliers, in the data's own units
  int buckets;
  bool everybody;  // no sweep: all users are walked
  FixedPoint value_scale, cost_scale;
  bool whole;            // count in whole numbers, and put off who has others
  const Largest* guess;  // null: no scan. Else what no magnitude may exceed
  double budget;         // in units of cost; NaN: the bracket must stay as it is
  double spare;          // how many edges below λ* are wanted
  std::int32_t* choice;  // [N], written: everybody's choice at the high end
  int threads;
};

// Whether a sweep can be had for this bracket in the row's own type.
template <class T>
bool can_sweep(const Bracket& bracket);

// One reading for several brackets of one instance; the jobs differ in nothing but bracket and choice. The listed edges
// are left in each one's memory.parts, those of a user in order of position.
template <class T>
std::vector<PassResult> run_passes(const std::vector<PassJob<T>>& jobs, const std::vector<PassMemory*>& memories);

// Turns a result that was counted in the units of `job` into the finer ones of the true scales, and walks whoever was
// put off. Slopes of listed edges stay in the units of `job`.
template <class T>
void complete(const PassJob<T>& job, const FixedPoint& value_scale, const FixedPoint& cost_scale, PassResult& result,
              PassMemory& memory);

}  // namespace bidfcl
