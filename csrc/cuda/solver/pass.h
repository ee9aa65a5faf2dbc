// One reading of all users with a bracket: who is settled is added up, and of the others the hull edges inside the
// bracket are listed.
#pragma once

#include "core/hull.h"
#include "core/limbs.h"
#include "cuda/solver/sample.h"

namespace bidfcl {

struct Listed {
  Edge edge;
  std::int32_t problem, idle;
};

// Of one problem: exact sums over everybody's choice at the bracket's high end, and of the listed edges' costs.
struct Tally {
  Limbs value, cost, listed;
  std::uint64_t rounded;  // fixed point rounds some cost
};

// How many of each there are; more than the room for them means that the list is not complete.
struct Counts {
  std::uint64_t edges, open;
};

template <class T>
struct PassJob {
  Instances<T> in;
  const Survey* survey;
  const Guess<T>* guess;  // of problem 0; null: all users are walked, from one end of their hulls to the other
  std::int32_t* choice;   // [users] of problem 0 or null, written: at the bracket's high end
  std::int32_t* open;     // users that are not settled
  Listed* edges;
  std::int64_t open_room, edge_room;
  Counts* counts;
  Tally* tally;
};

// Clears counts and tally, then reads.
template <class T>
void pass(const Device& device, const PassJob<T>& job);

}  // namespace bidfcl
