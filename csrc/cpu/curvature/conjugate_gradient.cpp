// One step of conjugate gradient for every right-hand side that still runs: when each stops, and why.

#include <cmath>

#include "../../capi.h"
#include "kernels.h"

namespace bidfcl {
namespace {

// As the Python side knows them.
enum : std::int64_t { kRunning = 1, kConverged = 0, kStepLimit = -1, kNegativeCurvature = -2, kNotFinite = -3 };

template <class T>
CgRow<T> row_of(const CgState& s, std::int64_t b, const void* product) {
  const std::int64_t at = b * s.size;
  return {s.size,
          static_cast<T*>(s.x) + at,
          static_cast<T*>(s.r) + at,
          static_cast<T*>(s.p) + at,
          static_cast<const T*>(product),
          static_cast<const T*>(s.inverse),
          s.damping};
}

void turn_by(const CgState& s, std::int64_t b, double rz, double* beta) {
  *beta = rz / s.rz[b];
  s.rz[b] = rz;
}

template <class T>
std::int64_t step(const CgState& s, void* products, bool turn) {
  const CurvatureKernels<T>& kernels = curvature_kernels<T>();
  T* product = static_cast<T*>(products);
  std::int64_t running = 0;
  for (std::int64_t b = 0; b < s.count; ++b) {
    if (s.state[b] != kRunning) continue;
    const CgRow<T> row = row_of<T>(s, b, product);
    double bend, square;
    kernels.cg_bend(row, product, &bend, &square);
    product += s.size;
    if (!std::isfinite(bend) || !std::isfinite(s.rz[b])) {
      s.state[b] = kNotFinite;
      continue;
    }
    if (bend <= 0) {
      s.state[b] = kNegativeCurvature;
      s.curvature[b] = bend / square;
      continue;
    }
    double residual, rz, beta;
    kernels.cg_step(row, s.rz[b] / bend, &residual, &rz);
    ++s.steps[b];
    if (residual <= s.goal[b]) {
      s.state[b] = kConverged;
    } else if (s.steps[b] >= s.room[b]) {
      s.state[b] = kStepLimit;
    } else {
      ++running;
      if (turn) {
        turn_by(s, b, rz, &beta);
        kernels.cg_turn(row, nullptr, beta);
      }
    }
  }
  return running;
}

template <class T>
void turn(const CgState& s, const void* preconditioned) {
  const CurvatureKernels<T>& kernels = curvature_kernels<T>();
  const T* z = static_cast<const T*>(preconditioned);
  for (std::int64_t b = 0; b < s.count; ++b) {
    if (s.state[b] != kRunning) continue;
    const CgRow<T> row = row_of<T>(s, b, nullptr);
    double rz = 0, beta;
    for (std::int64_t i = 0; i < s.size; ++i) rz += static_cast<double>(row.r[i]) * static_cast<double>(z[i]);
    turn_by(s, b, rz, &beta);
    kernels.cg_turn(row, z, beta);
    z += s.size;
  }
}

}  // namespace

std::int64_t cg_step(const CgState& state, void* products, bool turn) {
  return state.dtype == kFloat32 ? step<float>(state, products, turn) : step<double>(state, products, turn);
}
void cg_turn(const CgState& state, const void* preconditioned) {
  state.dtype == kFloat32 ? turn<float>(state, preconditioned) : turn<double>(state, preconditioned);
}

}  // namespace bidfcl
