// The decision losses: value, gradient and Hessian-vector product, a thread a row. Nothing here waits for the device.

#include "cuda/api.h"
#include "cuda/losses/loss_rows.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "shapes.h"

namespace bidfcl {
namespace {

template <class T>
BIDFCL_HD void write_cell(void* to, std::int64_t at, Stored storage, T x, bool first) {
  if (storage == Stored::kOwn) {
    T* const cell = static_cast<T*>(to) + at;
    *cell = first ? x : *cell + x;
    return;
  }
  const float narrow = static_cast<float>(x);
  static_cast<std::uint16_t*>(to)[at] = storage == Stored::kFloat16 ? to_float16(narrow) : to_bfloat16(narrow);
}

template <class T, LossOrder Order>
struct LossBody : RowBody {
  using Sum = LossSum;
  static constexpr int kBlocks = sizeof(T) == 8 ? 3 : 4;
  LossJob<T> job;

  BIDFCL_HD std::int64_t users(std::int64_t) const { return job.users; }
  BIDFCL_HD int passes() const { return job.multipliers; }
  BIDFCL_HD void stage(std::int64_t b, std::int64_t first, int rows, int lane, char* tile) const {
    const LossRow<T> at(tile, Order, job.items, 0);
    stage_cells(job.value.template of<T>(b), first, rows, job.items, lane, at.value);
    stage_cells(job.cost.template of<T>(b), first, rows, job.items, lane, at.cost);
    if constexpr (Order == LossOrder::kHessian) {
      stage_cells(job.value_turn.template of<T>(b), first, rows, job.items, lane, at.value_turn);
      stage_cells(job.cost_turn.template of<T>(b), first, rows, job.items, lane, at.cost_turn);
    }
  }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int lane, int k, char* tile, LossSum& sum) const {
    const LossRow<T> at(tile, Order, job.items, lane);
    const std::int64_t received = job.treatment[b * job.treatment_problem + i * job.treatment_row];
    const T w = job.weight.at(b, i), y = w * job.outcome.at(b, i), x = w * job.cost_outcome.at(b, i);
    bool counts = y != 0 || x != 0;
    if (received < 0 || received >= job.items) {
      if (k == 0) atomic_add(job.astray, 1);
      counts = false;
    }
    // A treatment closed to a user cannot be decided: the row is constant.
    counts = counts && job.is_open(b, i, static_cast<int>(received));
    if (counts) {
      if (job.open.data)
        for (int j = 0; j < job.items; ++j) {
          if (job.is_open(b, i, j)) continue;
          at.value[j] = -std::numeric_limits<T>::infinity();
          at.cost[j] = 0;
          if constexpr (Order == LossOrder::kHessian) at.value_turn[j] = at.cost_turn[j] = 0;
        }
      loss_row<T, Order>(job, at, b, k, static_cast<int>(received), y, x, sum);
    } else if constexpr (Order != LossOrder::kValue) {
      for (int j = 0; j < job.items; ++j) value_of(at)[j] = cost_of(at)[j] = 0;
    }
  }
  static BIDFCL_HD T* value_of(const LossRow<T>& at) { return Order == LossOrder::kHessian ? at.turn : at.unit; }
  static BIDFCL_HD T* cost_of(const LossRow<T>& at) { return Order == LossOrder::kHessian ? at.curve : at.share; }
  BIDFCL_HD void unstage(std::int64_t b, std::int64_t first, int rows, int lane, int k, char* tile) const {
    if constexpr (Order != LossOrder::kValue) {
      const LossRow<T> at(tile, Order, job.items, 0);
      const std::int64_t begin = (b * job.users + first) * job.items;
      const bool whole = job.out == Stored::kOwn && k == 0;
      const auto out = [&](const T* cells, void* to) {
        unstage_cells(cells, rows, job.items, lane, whole ? static_cast<T*>(to) + begin : nullptr,
                      [&](int n, T x) { write_cell(to, begin + n, job.out, x, k == 0); });
      };
      out(value_of(at), job.value_out);
      out(cost_of(at), job.cost_out);
    }
  }
  BIDFCL_HD void finish(std::int64_t, std::int64_t chunk, int k, const LossSum& sum) const {
    double* const to = job.partial + (chunk * job.multipliers + k) * kLossTotals;
    for (int n = 0; n < kLossTotals; ++n) to[n] = sum.total[n];
  }
};

// Return on investment: of a user's M − 1 scores two matter, that of the step up to the arm received and that of the
// step beyond it.
template <class T, LossOrder Order>
struct DrpBody : RowBody {
  using Sum = LossSum;
  LossJob<T> job;

  BIDFCL_HD std::int64_t users(std::int64_t) const { return job.users; }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int, int, char*, LossSum& sum) const {
    const std::int64_t received = job.treatment[b * job.treatment_problem + i * job.treatment_row];
    if (received < 0 || received > job.items) {
      atomic_add(job.astray, 1);
      return;
    }
    const T w = job.weight.at(b, i), y = w * job.outcome.at(b, i), x = w * job.cost_outcome.at(b, i);
    const std::int64_t begin = (b * job.users + i) * job.items;
    const T scale = static_cast<T>(job.scale ? job.scale[b] : 1.0);
    for (int j = 0; j < job.items; ++j) {
      T out = 0;
      if ((j == received || j + 1 == received) && (y != 0 || x != 0)) {
        const T sign = j == received ? T(-1) : T(1);
        const T score = cell(job.value, b, i, j);
        const Logistic<T> at(score);
        const T slope = -sign * (y - x * at.share);
        if constexpr (Order == LossOrder::kHessian) {
          const T turn = cell(job.value_turn, b, i, j);
          out = scale * (sign * x * at.slope * turn);
          sum.total[kLoss] += static_cast<double>(slope * turn);
        } else {
          out = scale * slope;
          sum.total[kLoss] += static_cast<double>(-sign * (y * score - x * at.softplus));
        }
      }
      if constexpr (Order != LossOrder::kValue) write_cell(job.value_out, begin + j, job.out, out, true);
    }
  }
  static BIDFCL_HD T cell(const Grid& grid, std::int64_t b, std::int64_t i, int j) {
    return read_cell<T>(grid.data, b * grid.problem + i * grid.row + j * grid.item, grid.storage);
  }
  BIDFCL_HD void finish(std::int64_t, std::int64_t chunk, int, const LossSum& sum) const {
    double* const to = job.partial + chunk * job.multipliers * kLossTotals;
    for (int k = 0; k < job.multipliers; ++k)
      for (int n = 0; n < kLossTotals; ++n) to[k * kLossTotals + n] = k == 0 ? sum.total[n] : 0;
  }
};

// Adds up [B, n, K] partial sums over n, a chunk of them at a time, always in the same order.
struct AddUp : RowBody {
  using Sum = LossSum;
  const double* from;
  double* to;
  std::int64_t parts, chunks;
  int multipliers;

  BIDFCL_HD std::int64_t users(std::int64_t) const { return parts; }
  BIDFCL_HD void row(std::int64_t q, std::int64_t i, int, int, char*, LossSum& sum) const {
    const std::int64_t b = q / multipliers, k = q % multipliers;
    for (int n = 0; n < kLossTotals; ++n) sum.total[n] += from[((b * parts + i) * multipliers + k) * kLossTotals + n];
  }
  BIDFCL_HD void finish(std::int64_t q, std::int64_t c, int, const LossSum& sum) const {
    const std::int64_t b = q / multipliers, k = q % multipliers;
    for (int n = 0; n < kLossTotals; ++n)
      to[((b * chunks + c % chunks) * multipliers + k) * kLossTotals + n] = sum.total[n];
  }
};

// The totals; a number that is none where a treatment was out of range, since nobody waits to be told.
struct Total {
  const double* from;  // null: there are no rows
  double* to;
  const std::uint64_t* astray;

  BIDFCL_HD void operator()(std::int64_t n) const {
    to[n] = *astray ? std::numeric_limits<double>::quiet_NaN() : from ? from[n] : 0.0;
  }
};

// Sums over multipliers in float, to halves.
struct Narrow {
  const float* from;
  void* to;
  Stored storage;

  BIDFCL_HD void operator()(std::int64_t n) const { write_cell(to, n, storage, from[n], true); }
};

template <class Once>
void once(const Device& device, std::int64_t count, const Once& what) {
  launch(device, plan_rows(1, count, 0, -1, limits_of(device)), Each<Once>(what, count));
}

template <class T, LossOrder Order>
const double* launch_rows(const Device& device, LossJob<T> job) {
  const DeviceLimits limits = limits_of(device);
  const bool drp = job.rule.family == kDrp;
  const LaunchPlan plan = plan_rows(job.count, job.users, drp ? 0 : LossRow<T>::bytes(Order, job.items), -1, limits);
  job.partial = device.room<double>(plan.chunks * job.multipliers * kLossTotals);
  if (drp) {
    DrpBody<T, Order> body{};
    body.job = job;
    launch(device, plan, body);
  } else {
    LossBody<T, Order> body{};
    body.job = job;
    launch(device, plan, body);
  }
  const double* sums = plan.chunks > 0 ? job.partial : nullptr;
  std::int64_t parts = plan.per_problem;
  const std::int64_t width = job.count * job.multipliers;
  while (parts > 1) {
    const LaunchPlan level = plan_rows(width, parts, 0, -1, limits);
    double* const fewer = device.room<double>(level.per_problem * width * kLossTotals);
    AddUp body{};
    body.from = sums;
    body.to = fewer;
    body.parts = parts;
    body.chunks = level.per_problem;
    body.multipliers = job.multipliers;
    launch(device, level, body);
    sums = fewer;
    parts = level.per_problem;
  }
  return sums;
}

template <class T>
void run(const Device& device, const LossCall& c, LossOrder order, std::uint64_t* astray) {
  const Stored storage = stored_as(c.storage);
  const auto grid = [&](const void* data, const std::int64_t* stride) {
    return Grid{data, stride[0], stride[1], stride[2], storage};
  };
  const auto labels = [](const void* data, const std::int64_t* stride) {
    return Labels<T>{static_cast<const T*>(data), stride[0], stride[1]};
  };
  LossJob<T> job{grid(c.value, c.value_stride),
                 grid(c.cost, c.cost_stride),
                 grid(c.value_turn, c.value_turn_stride),
                 grid(c.cost_turn, c.cost_turn_stride),
                 grid(c.open, c.open_stride),
                 c.treatment,
                 c.treatment_stride[0],
                 c.treatment_stride[1],
                 labels(c.weight, c.weight_stride),
                 labels(c.outcome, c.outcome_stride),
                 labels(c.cost_outcome, c.cost_outcome_stride),
                 c.count,
                 c.users,
                 c.items,
                 c.multipliers,
                 c.multiplier,
                 c.price,
                 c.turn,
                 c.scale,
                 c.rule,
                 c.value_out,
                 c.cost_out,
                 storage,
                 nullptr,
                 astray};
  clear(device, astray, static_cast<std::int64_t>(sizeof *astray));
  const std::int64_t cells = c.count * c.users * c.items;
  const bool wider =
      storage != Stored::kOwn && c.multipliers > 1 && order != LossOrder::kValue && c.rule.family != kDrp;
  if (wider) {
    job.out = Stored::kOwn;
    job.value_out = device.room<float>(cells);
    job.cost_out = device.room<float>(cells);
  }
  const double* sums = nullptr;
  if (order == LossOrder::kValue) sums = launch_rows<T, LossOrder::kValue>(device, job);
  else if (order == LossOrder::kGradient) sums = launch_rows<T, LossOrder::kGradient>(device, job);
  else sums = launch_rows<T, LossOrder::kHessian>(device, job);
  if (wider) {
    once(device, cells, Narrow{static_cast<const float*>(job.value_out), c.value_out, storage});
    once(device, cells, Narrow{static_cast<const float*>(job.cost_out), c.cost_out, storage});
  }
  once(device, c.count * c.multipliers * kLossTotals, Total{sums, c.totals, astray});
}

}  // namespace

void cuda::decision_loss(const Device& device, const LossCall& call, LossOrder order, std::uint64_t* astray) {
  const OnDevice use(device);
  if (call.storage == kStoreFloat64) run<double>(device, call, order, astray);
  else run<float>(device, call, order, astray);
}

}  // namespace bidfcl
