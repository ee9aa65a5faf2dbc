// One step of conjugate gradient for every right-hand side that still runs: when each stops, and why.

#include <cmath>
#include <vector>

#include "../../capi.h"
#include "../machine/for_rows.h"
#include "kernels.h"

namespace bidfcl {
namespace {

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

// Numbers of a vector that a low-rank preconditioner takes at a time; of nothing but the size, so that the bits are
// too.
constexpr std::int64_t kPiece = 4096;

// z = r + alongᵀ·stretch·along·r, and rᵀz.
template <class T>
double through_low_rank(const CurvatureKernels<T>& kernels, const CgState& s, const T* r, T* z, int threads) {
  const LowRank<T> low = {s.rank, s.size, static_cast<const T*>(s.along), static_cast<const T*>(s.stretch)};
  const std::size_t rank = static_cast<std::size_t>(s.rank),
                    pieces = static_cast<std::size_t>((s.size - 1) / kPiece + 1);
  std::vector<double> parts(pieces * rank);
  for_chunks(s.size, kPiece, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    kernels.low_rank_lean(low, r, begin, end, parts.data() + static_cast<std::size_t>(k) * rank);
  });
  std::vector<T> lean(rank);
  for (std::size_t k = 0; k < rank; ++k) {
    double sum = 0;
    for (std::size_t piece = 0; piece < pieces; ++piece) sum += parts[piece * rank + k];
    lean[k] = static_cast<T>(sum * static_cast<double>(low.stretch[k]));
  }
  std::vector<double> dots(pieces);
  for_chunks(s.size, kPiece, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    dots[static_cast<std::size_t>(k)] = kernels.low_rank_apply(low, lean.data(), r, begin, end, z);
  });
  double rz = 0;
  for (const double dot : dots) rz += dot;
  return rz;
}

template <class T>
std::int64_t step(const CgState& s, void* products, bool turn, int threads) {
  const CurvatureKernels<T>& kernels = curvature_kernels<T>();
  T* product = static_cast<T*>(products);
  std::int64_t running = 0;
  for (std::int64_t b = 0; b < s.count; ++b) {
    if (s.state[b] != CgState::kRunning) continue;
    const CgRow<T> row = row_of<T>(s, b, product);
    double bend, square;
    kernels.cg_bend(row, product, &bend, &square);
    product += s.size;
    if (!std::isfinite(bend) || !std::isfinite(s.rz[b])) {
      s.state[b] = CgState::kNotFinite;
      continue;
    }
    if (bend <= 0) {
      s.state[b] = CgState::kNegativeCurvature;
      s.curvature[b] = bend / square;
      continue;
    }
    double residual, rz, beta;
    kernels.cg_step(row, s.rz[b] / bend, &residual, &rz);
    ++s.steps[b];
    if (residual <= s.goal[b]) {
      s.state[b] = CgState::kConverged;
    } else if (s.steps[b] >= s.room[b]) {
      s.state[b] = CgState::kStepLimit;
    } else {
      ++running;
      if (turn) {
        T* const z = s.rank > 0 ? static_cast<T*>(s.turned) : nullptr;
        if (z) rz = through_low_rank(kernels, s, row.r, z, threads);
        turn_by(s, b, rz, &beta);
        kernels.cg_turn(row, z, beta);
      }
    }
  }
  return running;
}

// β = zᵀ(r − r before)/(rᵀz before): where z is a linear function of r, its second part is zero (Golub and Ye 1999).
template <class T>
void turn(const CgState& s, const void* preconditioned, const void* before) {
  const CurvatureKernels<T>& kernels = curvature_kernels<T>();
  const T* z = static_cast<const T*>(preconditioned);
  for (std::int64_t b = 0; b < s.count; ++b) {
    if (s.state[b] != CgState::kRunning) continue;
    const CgRow<T> row = row_of<T>(s, b, nullptr);
    const T* const old = static_cast<const T*>(before) + b * s.size;
    double rz = 0, crossed = 0;
    for (std::int64_t i = 0; i < s.size; ++i) {
      rz += static_cast<double>(row.r[i]) * static_cast<double>(z[i]);
      crossed += static_cast<double>(old[i]) * static_cast<double>(z[i]);
    }
    const double beta = (rz - crossed) / s.rz[b];
    s.rz[b] = rz;
    kernels.cg_turn(row, z, beta);
    z += s.size;
  }
}

}  // namespace

std::int64_t cg_step(const CgState& state, void* products, bool turn, int threads) {
  return state.dtype == kFloat32 ? step<float>(state, products, turn, threads)
                                 : step<double>(state, products, turn, threads);
}
void cg_turn(const CgState& state, const void* preconditioned, const void* before) {
  state.dtype == kFloat32 ? turn<float>(state, preconditioned, before) : turn<double>(state, preconditioned, before);
}

}  // namespace bidfcl
