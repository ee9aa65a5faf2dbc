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
// nothing else. `v` and `out` are [count, P]; the diagonal is Gauss-Newton's.
void* mlp_new(const MlpShape& shape);
void mlp_linearise(void* handle, const MlpInput& input, int threads);
void mlp_product(void* handle, const void* v, void* out, std::int64_t count, int threads);
void mlp_diagonal(void* handle, void* out, int threads);
void mlp_free(void* handle);

// `count` solves side by side; the vectors are [count, size].
struct CgState {
  int dtype;
  std::int64_t count, size;
  void* x;
  void* r;
  void* p;
  const void* inverse;  // [size] of a diagonal preconditioner, or null
  double damping;
  const double* goal;        // [count] the squared residual to reach
  const std::int64_t* room;  // [count] steps allowed
  double* rz;                // [count]
  double* curvature;         // [count], set where a solve stops for it
  std::int64_t* steps;       // [count]
  std::int64_t* state;       // [count] 1 while it runs
};

// One step of every solve that runs; `products` [running, size] holds their A·p and is written to. Returns how many go
// on. Without `turn`, cg_turn must follow, with the preconditioned residuals of those that go on.
std::int64_t cg_step(const CgState& state, void* products, bool turn);
void cg_turn(const CgState& state, const void* preconditioned);

// ----------------------------------------------------------------------------------------------------------------------

// What this build is: the instruction set in use, the compiler.
const char* arch_name();
const char* compiler_name();

}  // namespace bidfcl
