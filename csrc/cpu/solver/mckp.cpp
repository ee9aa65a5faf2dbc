// Many problems: several budgets of one instance, a batch, or segments. Small ones run one a thread.

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "../../capi.h"
#include "../../status.h"
#include "../machine/for_rows.h"
#include "problems.h"
#include "small.h"
#include "solver.h"
#include "zones.h"

namespace bidfcl {
namespace {

// Budgets of one instance whose brackets are read for together.
constexpr std::size_t kTogether = 32;
// And whose zones are.
constexpr std::int64_t kInZones = 128;
// Problems in a row that a thread takes at a time: the first has no neighbour to ask.
constexpr std::int64_t kInARow = 64;
// At least, where problems have so few users that a neighbour spares much.
constexpr std::int64_t kFewInARow = 8, kSmall = 2048;

// One thread's, for problems in a row.
struct RowMemory {
  PassMemory pass;
  SmallProblems small;
};

// About `wanted` at a time, so that no thread is left with few.
std::int64_t even(std::int64_t count, std::int64_t wanted) {
  const std::int64_t pieces = std::max<std::int64_t>(1, (count + wanted - 1) / wanted);
  return std::max<std::int64_t>(1, (count + pieces - 1) / pieces);
}

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
  const auto choice = [&](std::int64_t b) { return out.choice + b * out.choice_stride + p.start[b]; };
  std::vector<std::int64_t> left;
  for (std::int64_t b = 0; b < p.count; ++b) left.push_back(b);
  if constexpr (std::is_same_v<T, float>) {
    for (std::int64_t first = 0; first < p.count; first += kInZones) {
      const auto count = static_cast<std::size_t>(std::min(kInZones, p.count - first));
      if (!worth_zones(instance, count, shared)) break;
      Budgets budgets{instance, {}, {}, options.fill, options.threads};
      for (std::int64_t b = first; b < first + static_cast<std::int64_t>(count); ++b) {
        budgets.amount.push_back(p.budget[b]);
        budgets.choice.push_back(choice(b));
      }
      std::vector<Solution> found(count);
      const std::vector<char> done = solve_in_zones(budgets, shared, found);
      for (std::size_t k = 0; k < count; ++k)
        if (done[k]) {
          const std::int64_t b = first + static_cast<std::int64_t>(k);
          write(found[k], b, instance.users, choice(b), out);
          left.erase(std::find(left.begin(), left.end(), b));
        }
    }
  }
  for (std::size_t first = 0; first < left.size(); first += kTogether) {
    const std::size_t last = std::min(left.size(), first + kTogether);
    std::vector<PassMemory> memories(last - first);
    std::vector<Solver<T>> solvers;
    std::vector<double> warm_starts;
    solvers.reserve(memories.size());
    for (std::size_t k = first; k < last; ++k) {
      const std::int64_t b = left[k];
      solvers.emplace_back(instance, p.budget[b], options.fill, options.threads, choice(b), memories[k - first]);
      if (p.warm_start != nullptr) warm_starts.push_back(p.warm_start[b]);
    }
    const std::vector<Solution> found =
        Solver<T>::run_together(solvers, shared, p.warm_start ? warm_starts.data() : nullptr);
    for (std::size_t k = first; k < last; ++k) write(found[k - first], left[k], instance.users, choice(left[k]), out);
  }
}

inline bool beside_others(SmallProblems& small, const InstanceView<float>& instance, double budget, bool fill,
                          std::int32_t* choice, Solution& out) {
  return small.solve(instance, budget, fill, choice, out);
}

inline bool beside_others(SmallProblems&, const InstanceView<double>&, double, bool, std::int32_t*, Solution&) {
  return false;
}

template <class T>
void solve(const Problems& p, MckpOptions options, const Plans& out) {
  const std::int64_t rows = most_users(p);
  const std::int64_t cells = p.offsets ? p.offsets[p.users] : rows * p.items;
  if (p.count * cells < kWorthThreads) options.threads = 1;
  if (p.count > 1 && is_one_instance(p)) return solve_budgets<T>(p, options, out);

  const bool wide = p.count > 1 && (rows <= 65536 || p.count >= 8 * options.threads);
  Lender<RowMemory> memories;
  // The same for any number of threads, because a problem's first guess is its neighbour's answer.
  const std::int64_t least = rows <= kSmall ? kFewInARow : 1;
  const std::int64_t grain = even(p.count, std::max(least, std::min(kInARow, p.count / 32)));
  for_chunks(p.count, grain, wide ? options.threads : 1, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    Lender<RowMemory>::Loan memory(memories);
    memory->pass.near = std::nan("");
    memory->pass.daring = true;
    memory->small.forget();
    for (std::int64_t b = begin; b < end; ++b) {
      const InstanceView<T> instance = instance_of<T>(p, b);
      std::int32_t* choice = out.choice + b * out.choice_stride + p.start[b];
      Solution found;
      if (beside_others(memory->small, instance, p.budget[b], options.fill, choice, found)) {
        memory->pass.near = found.multiplier;
      } else {
        Solver<T> solver(instance, p.budget[b], options.fill, wide ? 1 : options.threads, choice, memory->pass);
        found = solver.run(p.warm_start ? p.warm_start[b] : std::nan(""));
        memory->small.learn(found);
      }
      write(found, b, instance.users, choice, out);
    }
  });
}

}  // namespace

void mckp(const Problems& problems, const MckpOptions& options, const Plans& plans) {
  if (is_double(problems)) solve<double>(problems, options, plans);
  else solve<float>(problems, options, plans);
}

}  // namespace bidfcl
