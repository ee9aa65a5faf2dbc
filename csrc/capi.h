// The framework boundary: flat functions over pointers, sizes and strides. Nothing below knows Python.
#pragma once

#include <cstdint>

namespace bidfcl {

enum Dtype : int { kFloat32 = 0, kFloat64 = 1, kFloat16 = 2, kBFloat16 = 3 };

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
// `margin`, in rising order; and, in rising order, those others whose best there is not what `plan` [N] gives them, and
// what it is. The arrays have room for all users. The units are those of the problem's plan. `totals` [4]: value and
// cost of all but the contested at their best, exactly, each as high and low with high·2^32 + low units.
struct ContestedUsers {
  std::int32_t* users;
  std::int32_t* others;
  std::int32_t* best;
  std::int64_t* totals;
};
struct ContestedCount {
  std::int64_t users, others;
};
ContestedCount contested(const Problems& problems, const std::int32_t* plan, double multiplier, double margin,
                         double value_unit, double cost_unit, int threads, const ContestedUsers& out);

// A whole number, high·2^32 + low.
struct CoreNumber {
  std::int64_t high, low;
};

struct Edge;  // csrc/core/hull.h

// --- one shard of a problem: its users are those of problem 0
// --------------------------------------------------------------------------------------------------------

// The largest magnitudes of its open cells.
struct ShardMagnitudes {
  double value, cost;
  bool finite;
};
ShardMagnitudes shard_magnitudes(const Problems& problems, int threads);

// Whether fixed point rounds some cost at x·2^cost_shift.
bool shard_costs_rounded(const Problems& problems, int cost_shift, int threads);

// Multipliers low < high, and the scales x·2^shift of all shards, in which no magnitude exceeds 2^61.
struct ShardBracket {
  double low, high;
  int value_shift, cost_shift;
};
// What users choose at the high end adds up to `value` and `cost`; the hull edges inside the bracket, in any order, but
// each user's in order of position. The array belongs to the handle.
struct EdgesBetween {
  int status;
  CoreNumber value, cost;
  std::int64_t count;
  const Edge* edges;
};
// `choice` [N] is written: everybody's at the high end. Throws std::bad_alloc and nothing else.
void* edges_between_new(const Problems& problems, const ShardBracket& bracket, int threads, std::int32_t* choice);
EdgesBetween edges_between_found(const void* handle);
void edges_between_free(void* handle);

// ----------------------------------------------------------------------------------------------------------------------

// What a proof is left with: row g [rows, options] is a user, or `copies[g]` of them alike; column 0 is its base, the
// others are against it. An infinite loss: nothing there.
struct CoreOptions {
  std::int64_t rows, options;
  const std::int64_t* value;
  const std::int64_t* cost;
  const double* loss;
  const std::int64_t* copies;
};
struct CoreLimits {
  CoreNumber room, wider;  // money for plans, and for the bound
  double most, unit;  // what any plan's value and losses add up to at most; what a unit of value is, both in losses
  double gap;         // losses that plans may have
  double seconds;
  std::int64_t longest, most_named;  // candidates for one list, entries ever named: beyond, it is given up
};
struct CoreFound {
  bool found, bounded, given_up;
  CoreNumber value, bound;
  double gap;
  std::int64_t taken;
};

// The best plan of a core; `taken` [rows, 3] holds (row, option, how many of its users) of the first found.taken
// entries, the rest stays at the base.
CoreFound solve_core(const CoreOptions& options, const CoreLimits& limits, std::int64_t* taken);

// The breakpoints of problem 0's LP frontier: how many there are, then the numbers, into arrays of the caller's.
struct FrontierFound {
  int status;
  std::int64_t count;
};
struct FrontierArrays {
  double* budget;
  double* value;
  double* multiplier;
};
void* frontier_new(const Problems& problems, int threads);
FrontierFound frontier_found(const void* handle);
void frontier_write(const void* handle, int threads, const FrontierArrays& arrays);
void frontier_free(void* handle);

// --- curvature
// --------------------------------------------------------------------------------------------------------

// A network of linear layers, each with an activation (csrc/core/activation.h) after it. Flat parameters are, layer by
// layer, the weight [out, in] and, where it has one, the bias [out].
struct MlpLayerShape {
  int in, out, bias, activation;
  double parameter;  // of the activation
};
struct MlpShape {
  int dtype;
  int count;  // 1 to 64
  const MlpLayerShape* layers;
  bool exact;  // the Hessian of the loss below, or its Gauss-Newton part
};

// What it is linearised at. The loss is scale · Σ weight · (output − target)².
struct MlpInput {
  std::int64_t rows;
  const void* inputs;         // [rows, in]
  std::int64_t input_stride;  // in elements, between rows
  const void* parameters;
  const void* targets;  // [rows, out]; null for Gauss-Newton
  const void* weight;   // [rows, out]; null for ones
  double scale;
};

// A handle may be used from several threads at once, but for mlp_linearise and mlp_free. All throw std::bad_alloc and
// nothing else. A product's `v` and `out` are [count, P]. Outputs, and what a direction [P] moves them by, are [rows,
// out]; the gradient [P] is the loss's, of a network made `exact`; the diagonal [P] is Gauss-Newton's.
void* mlp_new(const MlpShape& shape);
void mlp_linearise(void* handle, const MlpInput& input, int threads);
void mlp_product(void* handle, const void* v, void* out, std::int64_t count, int threads);
void mlp_outputs(void* handle, void* out);
void mlp_push(void* handle, const void* v, void* out, int threads);
void mlp_gradient(void* handle, void* out, int threads);
void mlp_diagonal(void* handle, void* out, int threads);
void mlp_free(void* handle);

// `count` solves side by side; the vectors are [count, size].
struct CgState {
  // How a solve stands, in the numbers that the Python side knows.
  enum Status : std::int64_t {
    kRunning = 1,
    kConverged = 0,
    kStepLimit = -1,
    kNegativeCurvature = -2,
    kNotFinite = -3
  };

  int dtype;
  std::int64_t count, size;
  void* x;
  void* r;
  void* p;
  const void* inverse;  // [size] of a diagonal preconditioner, or null
  const void* along;    // [rank, size] of a low-rank preconditioner I + alongᵀ·diag(stretch)·along, or null
  const void* stretch;  // [rank]
  std::int64_t rank;
  void* turned;  // [size] room for a residual that has gone through `along`
  double damping;
  const double* goal;        // [count] the squared residual to reach
  const std::int64_t* room;  // [count] steps allowed
  double* rz;                // [count]
  double* curvature;         // [count], set where a solve stops for it
  std::int64_t* steps;       // [count]
  std::int64_t* state;       // [count] Status
};

// One step of every solve that runs; `products` [running, size] holds their A·p and is written to. Returns how many go
// on. Without `turn`, cg_turn must follow, with the preconditioned residuals of those that go on.
std::int64_t cg_step(const CgState& state, void* products, bool turn, int threads);
// `before` [count, size], the residuals of the step before, makes the turn that of a preconditioner that is not linear.
void cg_turn(const CgState& state, const void* preconditioned, const void* before);

// ----------------------------------------------------------------------------------------------------------------------

// What this build is: the instruction set in use, the compiler.
const char* arch_name();
const char* compiler_name();

// For tests: how many users a thread takes at a time; 8,192 where nobody has set it. No solve may be running.
void set_users_at_a_time(std::int64_t users);

// --- Decision losses
// ---------------------------------------------------------------------------------------------------

// How the [B, N, M] arrays of a loss are stored. Half precision is arithmetic in float32.
enum Storage : int { kStoreFloat32 = 0, kStoreFloat64 = 1, kStoreFloat16 = 2, kStoreBfloat16 = 3 };

enum LossFamily : int {
  kPpl = 0,        // softmax policy of the treatment received; with a price, DPL and MER
  kPifd = 1,       // frozen finite differences, Algorithm 3 as printed; with a price, DIFD
  kPifdExact = 2,  // the same, true black-box differences
  kDecision = 3,   // the hard decision; value only
  kDrp = 4         // return on investment: `value` holds scores of M − 1 steps between M arms, and that is all there is
};

struct LossRule {
  int family;
  double temperature;
  double bound;  // of score gaps; 0: none
  bool window;   // the bound is a boxcar window and no floor
};

// What the value pass adds up for each (problem, multiplier); the gradient pass fills the first, the Hessian pass the
// first two: the derivative of the loss along the direction (without the scale), and that of its derivative in the
// multiplier.
enum LossTotal : int { kLoss = 0, kValueSlope = 1, kCostSlope = 2, kClippedRows = 3, kWeightedRows = 4 };
constexpr int kLossTotals = 5;

// B problems. Strides in elements; any may be zero or negative. Labels and weights are in the arithmetic's precision,
// a row's weight at multiplier k is scale·weight·(outcome − price·cost_outcome). The slopes are those of the two parts,
// Σ weight·outcome·d and Σ weight·cost_outcome·d, with d the derivative of a row's unit loss in the multiplier.
struct LossCall {
  int storage;
  const void* value;
  const void* cost;
  const std::uint8_t* open;  // null: every treatment is open
  std::int64_t value_stride[3], cost_stride[3], open_stride[3];
  const std::int64_t* treatment;
  const void* weight;
  const void* outcome;       // null: 0
  const void* cost_outcome;  // null: 0
  std::int64_t treatment_stride[2], weight_stride[2], outcome_stride[2], cost_outcome_stride[2];
  std::int64_t count, users;
  int items, multipliers;
  const double* multiplier;  // [B, K]
  const double* price;       // [B, K] or null: 0
  const double* turn;        // [B, K] or null: 0
  const double* scale;       // [B] or null: 1
  LossRule rule;
  const void* value_turn;  // the Hessian's direction
  const void* cost_turn;
  std::int64_t value_turn_stride[3], cost_turn_stride[3];
  void* value_out;  // [B, N, M], side by side
  void* cost_out;
  double* totals;  // [B, K, kLossTotals]
  int threads;
};

enum class LossOrder : int { kValue = 0, kGradient = 1, kHessian = 2 };

// Returns how many treatments are not 0 to M − 1 (for kDrp, M); throws std::bad_alloc and nothing else.
std::int64_t decision_loss(const LossCall& call, LossOrder order);

// The multipliers at which the treatment received is a user's decision: low <= λ < high, both 0 where there are none.
// Problem 0 of the call alone; low, high: [N].
std::int64_t received_intervals(const LossCall& call, double* low, double* high);

}  // namespace bidfcl
