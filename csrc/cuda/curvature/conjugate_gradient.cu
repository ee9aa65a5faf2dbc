// The vector updates of conjugate gradient, each one reading of its vectors; when each solve stops is decided on the
// device. Sums are kept in float64 in a fixed order.

#include <cmath>

#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"

namespace bidfcl {
namespace {

struct Pair {
  double first = 0, second = 0;

  BIDFCL_HD void join(const Pair& other) {
    first += other.first;
    second += other.second;
  }
};

// What all vector bodies share.
template <class T>
struct VectorBody : RowBody {
  using Sum = Pair;
  CgState s;
  T* product;     // [count, size]
  Pair* partial;  // [chunks]

  BIDFCL_HD std::int64_t users(std::int64_t) const { return s.size; }
  BIDFCL_HD bool skips(std::int64_t b) const { return s.state[b] != CgState::kRunning; }
  BIDFCL_HD T* x(std::int64_t at) const { return static_cast<T*>(s.x) + at; }
  BIDFCL_HD T* r(std::int64_t at) const { return static_cast<T*>(s.r) + at; }
  BIDFCL_HD T* p(std::int64_t at) const { return static_cast<T*>(s.p) + at; }
  BIDFCL_HD T inverse(std::int64_t i) const { return s.inverse ? static_cast<const T*>(s.inverse)[i] : T(1); }
  BIDFCL_HD void finish(std::int64_t, std::int64_t c, int, const Pair& sum) const { partial[c] = sum; }
};

// product += damping·p; pᵀ·product, pᵀp.
template <class T>
struct Bend : VectorBody<T> {
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, Pair& sum) const {
    const std::int64_t at = b * this->s.size + i;
    const T p = *this->p(at), q = this->product[at] + static_cast<T>(this->s.damping) * p;
    this->product[at] = q;
    sum.first += static_cast<double>(p) * static_cast<double>(q);
    sum.second += static_cast<double>(p) * static_cast<double>(p);
  }
};

// x += alpha·p, r −= alpha·product; rᵀr, and rᵀz for the diagonal preconditioner.
template <class T>
struct Step : VectorBody<T> {
  const double* alpha;

  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, Pair& sum) const {
    const std::int64_t at = b * this->s.size + i;
    const T step = static_cast<T>(alpha[b]);
    *this->x(at) += step * *this->p(at);
    const T r = *this->r(at) -= step * this->product[at];
    sum.first += static_cast<double>(r) * static_cast<double>(r);
    sum.second += static_cast<double>(r) * static_cast<double>(this->inverse(i)) * static_cast<double>(r);
  }
};

// rᵀz and (r before)ᵀz for z given.
template <class T>
struct Cross : VectorBody<T> {
  const T *z, *before;

  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, Pair& sum) const {
    const std::int64_t at = b * this->s.size + i;
    sum.first += static_cast<double>(*this->r(at)) * static_cast<double>(z[at]);
    if (before) sum.second += static_cast<double>(before[at]) * static_cast<double>(z[at]);
  }
};

// p = z + beta·p, where z is given, or r through the diagonal preconditioner.
template <class T>
struct Turn : VectorBody<T> {
  const T* z;
  const double* beta;

  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, Pair&) const {
    const std::int64_t at = b * this->s.size + i;
    const T along = z ? z[at] : *this->r(at) * this->inverse(i);
    *this->p(at) = along + static_cast<T>(beta[b]) * *this->p(at);
  }
  BIDFCL_HD void finish(std::int64_t, std::int64_t, int, const Pair&) const {}
};

// Partial sums [count, parts], a chunk of them at a time.
struct AddUp : RowBody {
  using Sum = Pair;
  const Pair* from;
  Pair* to;
  std::int64_t parts;

  BIDFCL_HD std::int64_t users(std::int64_t) const { return parts; }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, Pair& sum) const {
    sum.join(from[b * parts + i]);
  }
  BIDFCL_HD void finish(std::int64_t, std::int64_t c, int, const Pair& sum) const { to[c] = sum; }
};

struct Directions {
  CgState s;
  const Pair* sums;
  double* alpha;

  BIDFCL_HD void operator()(std::int64_t b) const {
    if (s.state[b] != CgState::kRunning) return;
    const double bend = sums[b].first;
    const double most = 1.7976931348623157e308;
    alpha[b] = 0;
    if (!(std::fabs(bend) <= most) || !(std::fabs(s.rz[b]) <= most)) {
      s.state[b] = CgState::kNotFinite;
    } else if (bend <= 0) {
      s.state[b] = CgState::kNegativeCurvature;
      s.curvature[b] = bend / sums[b].second;
    } else {
      alpha[b] = s.rz[b] / bend;
    }
  }
};

struct Stops {
  CgState s;
  const Pair* sums;
  double* beta;  // null: the preconditioned residuals are still to come

  BIDFCL_HD void operator()(std::int64_t b) const {
    if (s.state[b] != CgState::kRunning) return;
    ++s.steps[b];
    if (sums[b].first <= s.goal[b]) {
      s.state[b] = CgState::kConverged;
    } else if (s.steps[b] >= s.room[b]) {
      s.state[b] = CgState::kStepLimit;
    } else if (beta) {
      beta[b] = sums[b].second / s.rz[b];
      s.rz[b] = sums[b].second;
    }
  }
};

struct Turns {
  CgState s;
  const Pair* sums;
  double* beta;

  BIDFCL_HD void operator()(std::int64_t b) const {
    if (s.state[b] != CgState::kRunning) return;
    beta[b] = (sums[b].first - sums[b].second) / s.rz[b];
    s.rz[b] = sums[b].first;
  }
};

template <class Once>
void once(const Device& device, std::int64_t count, const Once& what) {
  launch(device, plan_rows(1, count, 0, -1, limits_of(device)), Each<Once>(what, count));
}

// Runs a body over all vectors; its sums [count].
template <class Body>
const Pair* sums_of(const Device& device, Body body) {
  const DeviceLimits limits = limits_of(device);
  LaunchPlan plan = plan_rows(body.s.count, body.s.size, 0, -1, limits);
  Pair* parts = device.room<Pair>(plan.chunks);
  body.partial = parts;
  launch(device, plan, body);
  for (std::int64_t n = plan.per_problem; n > 1; n = plan.per_problem) {
    plan = plan_rows(body.s.count, n, 0, -1, limits);
    Pair* const fewer = device.room<Pair>(plan.chunks);
    AddUp up{};
    up.from = parts;
    up.to = fewer;
    up.parts = n;
    launch(device, plan, up);
    parts = fewer;
  }
  return parts;
}

template <class T>
void turn(const Device& device, const CgState& s, const T* z, const double* beta) {
  Turn<T> body{};
  body.s = s;
  body.z = z;
  body.beta = beta;
  launch(device, plan_rows(s.count, s.size, 0, -1, limits_of(device)), body);
}

template <class T>
void step(const Device& device, const CgState& s, void* products, bool turns) {
  double* const rates = device.room<double>(2 * s.count);
  Bend<T> bend{};
  bend.s = s;
  bend.product = static_cast<T*>(products);
  once(device, s.count, Directions{s, sums_of(device, bend), rates});
  Step<T> step{};
  step.s = s;
  step.product = bend.product;
  step.alpha = rates;
  once(device, s.count, Stops{s, sums_of(device, step), turns ? rates + s.count : nullptr});
  if (turns) turn<T>(device, s, nullptr, rates + s.count);
}

template <class T>
void turn_by(const Device& device, const CgState& s, const void* z, const void* before) {
  double* const beta = device.room<double>(s.count);
  Cross<T> cross{};
  cross.s = s;
  cross.z = static_cast<const T*>(z);
  cross.before = static_cast<const T*>(before);
  once(device, s.count, Turns{s, sums_of(device, cross), beta});
  turn<T>(device, s, cross.z, beta);
}

}  // namespace

void cuda::cg_step(const Device& device, const CgState& state, void* products, bool turns) {
  const OnDevice use(device);
  if (state.dtype == kFloat32) step<float>(device, state, products, turns);
  else step<double>(device, state, products, turns);
}

void cuda::cg_turn(const Device& device, const CgState& state, const void* preconditioned, const void* before) {
  const OnDevice use(device);
  if (state.dtype == kFloat32) turn_by<float>(device, state, preconditioned, before);
  else turn_by<double>(device, state, preconditioned, before);
}

}  // namespace bidfcl
