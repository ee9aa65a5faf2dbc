// What the module _C_cuda offers. Arrays of numbers are on the device; arrays of a problem each, as in capi.h's Plans
// but for `choice`, are on the host.
#pragma once

#include <string>

#include "capi.h"
#include "core/config.h"
#include "cuda/device.h"

namespace bidfcl {
namespace cuda {

// Devices that can run what was compiled, and what there is in words; a reason in words where there are none.
int device_count();
std::string describe();

// How often calls have waited for a device.
std::int64_t waits();

// Memory for those who have none on the device: in the order of a stream, as all below.
void* take_memory(int device, void* stream, std::int64_t bytes);
void give_memory(int device, void* stream, void* at);
void to_device(int device, void* stream, void* to, const void* from, std::int64_t bytes);
void to_host(int device, void* stream, void* to, const void* from, std::int64_t bytes);  // waits

// The functions of capi.h of the same names. They throw std::runtime_error where CUDA fails.
void mckp(const Device& device, const Problems& problems, bool fill, const Plans& plans);
void decide(const Device& device, const Problems& problems, const double* multiplier, const Plans& plans);

// `users`, `others` and `best` are on the device, `totals` is on the host.
ContestedCount contested(const Device& device, const Problems& problems, const std::int32_t* plan, double multiplier,
                         double margin, double value_unit, double cost_unit, const ContestedUsers& out);

// The breakpoints of problem 0; the arrays [count] are on the device, in the caller's memory.
struct FrontierPoints {
  int status;
  std::int64_t count;
  const double *budget, *value, *multiplier;
};
FrontierPoints frontier(const Device& device, const Problems& problems);

// What a shard of a problem is asked; `choice` [N] is on the device. The edges, 48 bytes each
// (csrc/cuda/solver/pass.h), are in the caller's memory on the device, in no order.
struct Between {
  int status;
  int128 value, cost;
  std::int64_t count;
  const void* edges;
};
ShardMagnitudes shard_magnitudes(const Device& device, const Problems& problems);
bool shard_costs_rounded(const Device& device, const Problems& problems, int cost_shift);
Between edges_between(const Device& device, const Problems& problems, const ShardBracket& asked, std::int32_t* choice);

// Every array of the call is on the device, `totals` too, and nobody waits. `astray` [1], on the device: how many
// treatments are out of range; if there are any, the totals are NaN.
void decision_loss(const Device& device, const LossCall& call, LossOrder order, std::uint64_t* astray);

// low, high [N] and `astray` [1] are on the device.
void received_intervals(const Device& device, const LossCall& call, double* low, double* high, std::uint64_t* astray);

// --- curvature: every array is on the device, those of [count] too, and nobody waits

// One step of every solve that runs. `products` [count, size] holds A·p and is written to; without `turns`, cg_turn
// must follow. Of a low-rank preconditioner this knows nothing: its z is given to cg_turn.
void cg_step(const Device& device, const CgState& state, void* products, bool turns);
// `preconditioned` [count, size]; `before`, the residuals of the step before, or null for a linear preconditioner.
void cg_turn(const Device& device, const CgState& state, const void* preconditioned, const void* before);

// A layer's activations: value, and first and second derivative at z, of `count` numbers; `second` may be null.
template <class T>
void mlp_activate(const Device& device, int kind, double parameter, std::int64_t count, const T* z, T* value, T* first,
                  T* second);
// bent = second·moved (unless null), then moved *= first.
template <class T>
void mlp_forward(const Device& device, std::int64_t count, T* moved, const T* first, const T* second, T* bent);
// back = first·back + bent (null: 0).
template <class T>
void mlp_back(const Device& device, std::int64_t count, T* back, const T* first, const T* bent);

}  // namespace cuda
}  // namespace bidfcl
