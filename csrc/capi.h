// The framework boundary: flat functions over pointers, sizes and strides. Nothing below knows Python.
#pragma once

#include <cstdint>

namespace bidfcl {

enum Dtype : int { kFloat32 = 0, kFloat64 = 1 };

// B problems over one pair of [B, N, M] arrays. Strides in elements, along (problem, user, treatment); any may be zero
// or negative. Problem b owns the users start[b] .. stop[b]-1.
struct Problems {
  int dtype;
  const void* value;
  const void* cost;
  const std::uint8_t* open;  // null: every treatment is open
  // [N + 1], or null. Given, the arrays are [B, T] and user i has the cells offsets[i] .. offsets[i + 1] − 1, at least
  // one; `items` is then the longest row's, and the strides along users are not used.
  const std::int64_t* offsets;
  std::int64_t value_stride[3], cost_stride[3], open_stride[3];
  std::int64_t count, users;
  int items;
  const std::int64_t* start;  // [B]
  const std::int64_t* stop;   // [B]
  const double* budget;       // [B]
  const double* warm_start;   // [B] multipliers, NaN for none; or null
};

struct MckpOptions {
  bool fill;
  int threads;
};

// One row a problem. The choices of problem b's users are written to choice + b·choice_stride, from start[b] on; −1
// where a problem is not solved.
struct Plans {
  std::int32_t* choice;
  std::int64_t choice_stride;
  double* multiplier;
  double* value;
  double* spend;
  double* dual_bound;
  double* gap;
  double* least_budget;
  double* value_unit;  // what fixed point rounds up to; 0 where all numbers are 0
  double* cost_unit;
  std::int32_t* status;
  std::int64_t* rows_read;
  std::int64_t* sweeps;
  std::int64_t* active;
};

// Solves every problem; throws std::bad_alloc and nothing else.
void mckp(const Problems& problems, const MckpOptions& options, const Plans& plans);

// Every user of problem b takes all hull edges steeper than multiplier[b] (finite, at least 0). Fills `plans` like
// mckp.
void decide(const Problems& problems, const double* multiplier, int threads, const Plans& plans);

// The users of problem 0 whose best score at `multiplier` is not certain to beat their second best by more than
// `margin`, in rising order: `users` has room for all. `choice` [N]: everybody's best there, for those users a guess.
// The units are those of the problem's plan. `totals` [4]: value and cost of all other users at their best, exactly,
// each as high and low with high·2^32 + low units. Returns how many.
std::int64_t contested(const Problems& problems, double multiplier, double margin, double value_unit, double cost_unit,
                       int threads, std::int32_t* choice, std::int32_t* users, std::int64_t* totals);

// The breakpoints of problem 0's LP frontier. The arrays belong to the handle.
struct FrontierArrays {
  int status;
  std::int64_t count;
  const double* budget;
  const double* value;
  const double* multiplier;
};
void* frontier_new(const Problems& problems, int threads);
FrontierArrays frontier_arrays(const void* handle);
void frontier_free(void* handle);

// What this build is: the instruction set in use, the compiler.
const char* arch_name();
const char* compiler_name();

}  // namespace bidfcl
