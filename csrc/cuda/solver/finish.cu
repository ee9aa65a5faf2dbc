#include "cuda/solver/finish.h"

#include "core/search.h"
#include "core/walk.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/solver/fixed_tile.h"

namespace bidfcl {
namespace {

// The first edge of problem b or a later one.
BIDFCL_HD std::int64_t first_of(const Listed* edges, std::int64_t count, std::int64_t b) {
  std::int64_t low = 0, high = count;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (edges[middle].problem < b) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Where money runs out.
template <class T>
struct Split {
  FinishJob<T> job;

  BIDFCL_HD void operator()(std::int64_t k) const {
    const std::int64_t b = job.problem(k);
    BoughtPlan out{};
    if (job.pass.survey[b].usable()) {
      const Tally& tally = job.pass.tally[b];
      const std::int64_t begin = first_of(job.pass.edges, job.edges, b);
      const std::int64_t end = first_of(job.pass.edges, job.edges, b + 1);
      const Running before = begin > 0 ? job.running[begin - 1] : Running{0, 0};
      const int128 room = job.budget[k] - tally.cost.total() + before.cost;
      std::int64_t low = begin, high = end;
      while (low < high) {
        const std::int64_t middle = low + (high - low) / 2;
        if (job.running[middle].cost <= room) low = middle + 1;
        else high = middle;
      }
      const Running bought = low > begin ? job.running[low - 1] : before;
      out.split_value = tally.value.total() + bought.value - before.value;
      out.split_cost = tally.cost.total() + bought.cost - before.cost;
      out.value = out.split_value;
      out.cost = out.split_cost;
      out.has_split = low < end;
      if (low < end) {
        out.split = job.pass.edges[low].edge;
        const std::int64_t window = job.fill ? kFillWindow : 1;
        out.tried = end - low < window ? end - low : window;
        out.last_slope = job.pass.edges[low + out.tried - 1].edge.slope;
      }
    }
    job.plan[k] = out;
  }
};

// Everybody's choice who was walked. A problem here is a budget.
template <class T>
struct ApplyBody : RowBody {
  FinishJob<T> job;

  BIDFCL_HD std::int64_t users(std::int64_t k) const {
    return job.pass.guess ? job.open : job.pass.in.users(job.problem(k));
  }
  BIDFCL_HD bool skips(std::int64_t k) const { return !job.pass.survey[job.problem(k)].usable(); }
  BIDFCL_HD void row(std::int64_t k, std::int64_t n, int lane, int, char* tile, Nothing&) const {
    const std::int64_t b = job.problem(k), i = job.pass.guess ? job.pass.open[n] : n;
    const RowView<T> view = job.pass.in.problem(b).row(i);
    const Scales scales = job.pass.survey[b].scales();
    FixedRow row = fixed_row(tile, lane, view.items);
    quantise(view, scales.value, scales.cost, row);
    int at = cheapest(row);
    const BoughtPlan& plan = job.plan[k];
    if (plan.has_split) {
      at = before_split(row, at, static_cast<std::int32_t>(i), plan.split);
    } else {
      Edge edge{};
      while (next_edge(row, at, edge)) at = edge.stop;
    }
    job.choice_of(k)[i] = at;
  }
};

// From the split edge on, whatever still fits.
template <class T>
struct Fill {
  FinishJob<T> job;

  BIDFCL_HD void operator()(std::int64_t k) const {
    BoughtPlan& plan = job.plan[k];
    if (!plan.has_split) return;
    const std::int64_t b = job.problem(k);
    std::int64_t low = first_of(job.pass.edges, job.edges, b), high = first_of(job.pass.edges, job.edges, b + 1);
    while (low < high) {  // the split edge again
      const std::int64_t middle = low + (high - low) / 2;
      if (Steeper()(job.pass.edges[middle].edge, plan.split)) low = middle + 1;
      else high = middle;
    }
    std::int32_t* const choice = job.choice_of(k);
    for (std::int64_t n = low; n < low + plan.tried; ++n) {
      const Edge& edge = job.pass.edges[n].edge;
      if (choice[edge.user] != edge.start || plan.cost + edge.cost > job.budget[k]) continue;
      choice[edge.user] = edge.stop;
      plan.cost += edge.cost;
      plan.value += edge.value;
    }
  }
};

}  // namespace

template <class T>
void finish(const Device& device, const FinishJob<T>& job) {
  const DeviceLimits limits = limits_of(device);
  const LaunchPlan one_each = plan_rows(1, job.budgets, 0, -1, limits);
  launch(device, one_each, Each<Split<T>>({job}, job.budgets));
  ApplyBody<T> apply{};
  apply.job = job;
  const std::int64_t rows = job.pass.guess ? job.open : job.pass.in.most;
  launch(device, plan_rows(job.budgets, rows, fixed_tile_bytes(job.pass.in.base.items), -1, limits), apply);
  if (job.fill) launch(device, one_each, Each<Fill<T>>({job}, job.budgets));
}

template void finish(const Device&, const FinishJob<float>&);
template void finish(const Device&, const FinishJob<double>&);

}  // namespace bidfcl
