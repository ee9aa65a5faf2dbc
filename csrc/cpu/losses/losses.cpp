// The decision losses over all problems: chunks of users side by side, their totals added up in the order of the
// chunks.

#include "losses.h"

#include <memory>
#include <vector>

#include "../machine/for_rows.h"

namespace bidfcl {

namespace {

// Waking a thread costs more than this many numbers.
constexpr std::int64_t kWorthThreads = 1 << 16;

// Outputs of this many bytes do not fit into a processor's caches: they are written past them.
constexpr std::int64_t kFlood = std::int64_t{24} << 20;

constexpr int kItemBytes[] = {4, 8, 2, 2};

Grid grid_of(const void* data, const std::int64_t* stride, std::int64_t b, int bytes) {
  if (data == nullptr) return {};
  return {static_cast<const char*>(data) + b * stride[0] * bytes, stride[1], stride[2]};
}

template <class T>
Labels<T> labels_of(const void* data, const std::int64_t* stride, std::int64_t b) {
  if (data == nullptr) return {nullptr, 0};
  return {static_cast<const T*>(data) + b * stride[0], stride[1]};
}

template <class T>
LossJob<T> job_of(const LossCall& c, std::int64_t b) {
  const int bytes = kItemBytes[c.storage];
  const std::int64_t cells = c.users * c.items * bytes;
  const auto row = [&](const double* x) { return x ? x + b * c.multipliers : nullptr; };
  return {grid_of(c.value, c.value_stride, b, bytes),
          grid_of(c.cost, c.cost_stride, b, bytes),
          grid_of(c.value_turn, c.value_turn_stride, b, bytes),
          grid_of(c.cost_turn, c.cost_turn_stride, b, bytes),
          grid_of(c.open, c.open_stride, b, 1),
          c.treatment + b * c.treatment_stride[0],
          c.treatment_stride[1],
          labels_of<T>(c.weight, c.weight_stride, b),
          labels_of<T>(c.outcome, c.outcome_stride, b),
          labels_of<T>(c.cost_outcome, c.cost_outcome_stride, b),
          c.items,
          c.multipliers,
          row(c.multiplier),
          row(c.price),
          row(c.turn),
          c.scale ? c.scale[b] : 1,
          c.rule,
          c.value_out ? static_cast<char*>(c.value_out) + b * cells : nullptr,
          c.cost_out ? static_cast<char*>(c.cost_out) + b * cells : nullptr,
          c.count * cells >= kFlood};
}

template <class T>
std::int64_t run(const LossCall& c, LossOrder order) {
  const LossKernels<T>& k = loss_kernels<T>();
  const auto& by_storage = order == LossOrder::kValue ? k.value : order == LossOrder::kGradient ? k.grad : k.hvp;
  const LossKernel<T> kernel = by_storage[c.storage <= kStoreFloat64 ? 0 : c.storage - kStoreFloat16 + 1];
  const std::int64_t cells = c.count * c.users * c.items;
  const std::int64_t runs = (c.users + kLossRows - 1) / kLossRows;  // of one problem
  const std::int64_t width = static_cast<std::int64_t>(c.multipliers) * kLossTotals;
  std::vector<double> totals(static_cast<std::size_t>(c.count * runs * width), 0.0);
  std::vector<std::int64_t> astray(static_cast<std::size_t>(c.count * runs), 0);
  const int threads = cells < kWorthThreads ? 1 : c.threads;
  // A few runs a chunk, so that the scratch is allocated seldom; a problem's numbers never depend on how many.
  constexpr std::int64_t kRunsPerChunk = 8;
  for_chunks(c.count * runs, kRunsPerChunk, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    std::vector<char> memory(static_cast<std::size_t>(loss_scratch(c.items, c.multipliers) + 64));
    void* scratch = memory.data();
    std::size_t room = memory.size();
    std::align(64, room - 64, scratch, room);
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t b = r / runs, first = r % runs * kLossRows;
      const std::int64_t last = first + kLossRows < c.users ? first + kLossRows : c.users;
      astray[static_cast<std::size_t>(r)] = kernel(job_of<T>(c, b), first, last, totals.data() + r * width, scratch);
    }
  });
  std::memset(c.totals, 0, static_cast<std::size_t>(c.count * width) * sizeof(double));
  std::int64_t out = 0;
  for (std::int64_t r = 0; r < c.count * runs; ++r) {
    out += astray[static_cast<std::size_t>(r)];
    for (std::int64_t q = 0; q < width; ++q)
      c.totals[r / runs * width + q] += totals[static_cast<std::size_t>(r * width + q)];
  }
  return out;
}

}  // namespace

std::int64_t decision_loss(const LossCall& call, LossOrder order) {
  return call.storage == kStoreFloat64 ? run<double>(call, order) : run<float>(call, order);
}

}  // namespace bidfcl
