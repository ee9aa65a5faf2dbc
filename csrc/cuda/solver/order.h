// The listed edges in the order in which money buys them, problem by problem, and their running totals.
#pragma once

#include "cuda/solver/pass.h"

namespace bidfcl {

struct Running {
  int128 value, cost;
};

// Sorts in place; running[k] counts edges 0 .. k, all problems' alike.
void order(const Device& device, Listed* edges, std::int64_t count, Running* running);

}  // namespace bidfcl
