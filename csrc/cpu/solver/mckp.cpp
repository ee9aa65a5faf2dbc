// Many problems: several budgets of one instance, a batch, or segments. Small ones run one a thread.

#include <algorithm>
#include <cmath>
#include <vector>

#include "../../capi.h"
#include "../../status.h"
#include "../machine/for_rows.h"
#include "problems.h"
#include "solver.h"

namespace bidfcl {
namespace {

// Budgets of one instance that are solved in one reading.
constexpr std::int64_t kTogether = 32;

void write(const Solution& s, std::int64_t b, std::int64_t users, std::int32_t* choice, const Plans& out) {
  if (s.status != kSolved) std::fill(choice, choice + users, -1);
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

template <class T>
void solve_budgets(const Problems& p, const MckpOptions& options, const Plans& out) {
  const InstanceView<T> instance = instance_of<T>(p, 0);
  const Survey shared = survey(instance, options.threads);
  for (std::int64_t first = 0; first < p.count; first += kTogether) {
    const std::int64_t last = std::min(p.count, first + kTogether);
    std::vector<PassMemory> memories(static_cast<std::size_t>(last - first));
    std::vector<Solver<T>> solvers;
    solvers.reserve(memories.size());
    const auto choice = [&](std::int64_t b) { return out.choice + b * out.choice_stride + p.start[b]; };
    for (std::int64_t b = first; b < last; ++b)
      solvers.emplace_back(instance, p.budget[b], options.fill, options.threads, choice(b),
                           memories[static_cast<std::size_t>(b - first)]);
    const std::vector<Solution> found =
        Solver<T>::run_together(solvers, shared, p.warm_start ? p.warm_start + first : nullptr);
    for (std::int64_t b = first; b < last; ++b)
      write(found[static_cast<std::size_t>(b - first)], b, instance.users, choice(b), out);
  }
}

template <class T>
void solve(const Problems& p, MckpOptions options, const Plans& out) {
  const std::int64_t rows = most_users(p);
  const std::int64_t cells = p.offsets ? p.offsets[p.users] : rows * p.items;
  if (p.count * cells < kWorthThreads) options.threads = 1;
  if (p.count > 1 && is_one_instance(p)) return solve_budgets<T>(p, options, out);

  const bool wide = p.count > 1 && (rows <= 65536 || p.count >= 8 * options.threads);
  Lender<PassMemory> memories;
  // The same for any number of threads, because a problem's first guess is its neighbour's answer.
  const std::int64_t grain = std::max<std::int64_t>(1, std::min<std::int64_t>(16, p.count / 32));
  for_chunks(p.count, grain, wide ? options.threads : 1, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    Lender<PassMemory>::Loan memory(memories);
    memory->near = std::nan("");
    for (std::int64_t b = begin; b < end; ++b) {
      const InstanceView<T> instance = instance_of<T>(p, b);
      std::int32_t* choice = out.choice + b * out.choice_stride + p.start[b];
      Solver<T> solver(instance, p.budget[b], options.fill, wide ? 1 : options.threads, choice, *memory);
      write(solver.run(p.warm_start ? p.warm_start[b] : std::nan("")), b, instance.users, choice, out);
    }
  });
}

}  // namespace

void mckp(const Problems& problems, const MckpOptions& options, const Plans& plans) {
  if (is_double(problems)) solve<double>(problems, options, plans);
  else solve<float>(problems, options, plans);
}

}  // namespace bidfcl
