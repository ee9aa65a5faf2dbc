// Many problems: several budgets of one instance, a batch, or segments. Small ones run one a thread.

#include <algorithm>
#include <cmath>

#include "../capi.h"
#include "../status.h"
#include "for_rows.h"
#include "problems.h"
#include "solver.h"

namespace bidfcl {
namespace {

// Waking a thread costs more than reading this many numbers.
constexpr std::int64_t kWorthThreads = 1 << 18;

template <class T>
void solve(const Problems& p, MckpOptions options, const Plans& out) {
  std::int64_t rows = 0;
  for (std::int64_t b = 0; b < p.count; ++b) rows = std::max(rows, p.stop[b] - p.start[b]);
  if (p.count * rows * p.items < kWorthThreads) options.threads = 1;
  const bool wide = p.count > 1 && (rows <= 65536 || p.count >= 8 * options.threads);
  const int within = wide ? 1 : options.threads;
  const bool one_instance = p.value_stride[0] == 0 && p.cost_stride[0] == 0 && p.open_stride[0] == 0 &&
                            std::all_of(p.start, p.start + p.count, [&](std::int64_t s) { return s == p.start[0]; }) &&
                            std::all_of(p.stop, p.stop + p.count, [&](std::int64_t s) { return s == p.stop[0]; });
  const bool shares = one_instance && p.count > 1;
  const Survey shared = shares ? survey(instance_of<T>(p, 0), options.threads) : Survey{};

  Lender<PassMemory> memories;
  // The same for any number of threads, because a problem's first guess is its neighbour's answer.
  const std::int64_t grain = std::max<std::int64_t>(1, std::min<std::int64_t>(16, p.count / 32));
  for_chunks(p.count, grain, wide ? options.threads : 1, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    Lender<PassMemory>::Loan memory(memories);
    memory->near = std::nan("");
    for (std::int64_t b = begin; b < end; ++b) {
      const InstanceView<T> instance = instance_of<T>(p, b);
      std::int32_t* choice = out.choice + b * out.choice_stride + p.start[b];
      Solver<T> solver(instance, p.budget[b], options.fill, within, choice, *memory);
      const Solution s = solver.run(shares ? &shared : nullptr, p.warm_start ? p.warm_start[b] : std::nan(""));
      if (s.status != kSolved) std::fill(choice, choice + instance.users, -1);
      out.multiplier[b] = s.multiplier;
      out.value[b] = s.value;
      out.spend[b] = s.spend;
      out.dual_bound[b] = s.dual_bound;
      out.gap[b] = s.gap;
      out.least_budget[b] = s.least_budget;
      out.value_unit[b] = s.value_unit;
      out.cost_unit[b] = s.cost_unit;
      out.status[b] = s.status;
      out.rows_read[b] = s.rows_read;
      out.sweeps[b] = s.sweeps;
      out.active[b] = s.active;
    }
  });
}

}  // namespace

void mckp(const Problems& problems, const MckpOptions& options, const Plans& plans) {
  if (problems.dtype == kFloat32) solve<float>(problems, options, plans);
  else solve<double>(problems, options, plans);
}

}  // namespace bidfcl
