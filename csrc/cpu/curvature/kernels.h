// The kernels of curvature, and what they work on.
#pragma once

#include <cstdint>

#include "../../core/activation.h"
#include "../machine/arch.h"

namespace bidfcl {

// One layer, linearised. Rows of every array are `pad` numbers apart: whole packs, so that loops have no tails.
template <class T>
struct MlpLayer {
  int in, out;
  std::int64_t in_pad, out_pad;
  Activation activation;
  T parameter;
  Slope slope;
  const T* weight;      // [out][in_pad]
  const T* transposed;  // [in][out_pad]
  const T* bias;        // [out_pad]
  T* value;             // activations [rows][out_pad]
  T* first;             // σ' [rows][out_pad]; null where the value tells it
  T* delta;             // ∂loss/∂z [rows][out_pad]; null for Gauss-Newton
  T* bend;              // σ''·∂loss/∂a [rows][out_pad]; null where it is zero or not wanted
};

template <class T>
struct Mlp {
  int count;
  const MlpLayer<T>* layers;
  std::int64_t rows, in_pad;
  T* inputs;   // [rows][in_pad]
  T* output;   // what the last layer's ż is multiplied by, [rows][out_pad of the last]
  bool exact;  // the Hessian, or Gauss-Newton
};

// What a linearisation is taken at.
template <class T>
struct MlpData {
  const T* inputs;  // [rows] with `input_stride` between rows
  std::int64_t input_stride;
  const T* targets;  // [rows, out] or null
  const T* weight;   // [rows, out] or null for ones
  T scale;           // the loss is scale · Σ weight · (output − target)²
};

// A direction in parameter space, packed like the parameters.
template <class T>
struct MlpDirection {
  const T* const* weight;      // by layer: [out][in_pad]
  const T* const* transposed;  // by layer: [in][out_pad]
  const T* const* bias;        // by layer: [out_pad]
};

// Where a run of rows adds its part of a product: by layer, [out][in_pad] or, where `flipped`, [in][out_pad].
template <class T>
struct MlpSum {
  T* const* weight;
  T* const* bias;  // [out_pad]
  const bool* flipped;
};

// One step of conjugate gradient over the rows that still run; see conjugate_gradient.cpp.
template <class T>
struct CgRow {
  std::int64_t size;
  T* x;
  T* r;
  T* p;
  const T* product;
  const T* inverse;  // of a diagonal preconditioner, or null
  double damping;
};

// A preconditioner I + alongᵀ·diag(stretch)·along, along [rank][size].
template <class T>
struct LowRank {
  std::int64_t rank, size;
  const T* along;
  const T* stretch;
};

template <class T>
struct CurvatureKernels {
  int lanes;
  // Rows [begin, end), at most `tile` of them; `scratch` is as `scratch_size` says.
  void (*linearise)(const Mlp<T>&, const MlpData<T>&, std::int64_t begin, std::int64_t end, T* scratch);
  void (*product)(const Mlp<T>&, const MlpDirection<T>&, const MlpSum<T>&, std::int64_t begin, std::int64_t end,
                  T* scratch);
  void (*push)(const Mlp<T>&, const MlpDirection<T>&, std::int64_t begin, std::int64_t end, T* scratch, T* out);
  void (*gradient)(const Mlp<T>&, const MlpSum<T>&, std::int64_t begin, std::int64_t end);
  void (*diagonal)(const Mlp<T>&, const MlpSum<T>&, std::int64_t begin, std::int64_t end, T* scratch);
  // pᵀ(A + damping·I)p, with damping·p added to the product; then x, r and p.
  void (*cg_bend)(const CgRow<T>&, T* product, double* bend, double* square);
  void (*cg_step)(const CgRow<T>&, double alpha, double* residual, double* rz);
  void (*cg_turn)(const CgRow<T>&, const T* z, double beta);
  // Over the numbers [begin, end): lean [rank] = along·r; then z = r + alongᵀ·lean, and rᵀz.
  void (*low_rank_lean)(const LowRank<T>&, const T* r, std::int64_t begin, std::int64_t end, double* lean);
  double (*low_rank_apply)(const LowRank<T>&, const T* lean, const T* r, std::int64_t begin, std::int64_t end, T* z);
};

BIDFCL_TABLES(CurvatureKernels, curvature_table, curvature_kernels)

// Numbers that a tile of `tile` rows needs besides what is linearised.
template <class T>
std::int64_t mlp_scratch(const Mlp<T>& net, std::int64_t tile) {
  std::int64_t widest = net.in_pad, sum = 0;
  for (int l = 0; l < net.count; ++l) {
    widest = net.layers[l].out_pad > widest ? net.layers[l].out_pad : widest;
    sum += net.layers[l].out_pad;
  }
  return tile * (2 * sum + 2 * widest);
}

}  // namespace bidfcl
