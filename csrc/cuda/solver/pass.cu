#include "cuda/solver/pass.h"

#include "core/walk.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/machine/numbers.h"
#include "cuda/solver/fixed_tile.h"

namespace bidfcl {
namespace {

BIDFCL_HD void add(Limbs* to, const Limbs& sum) {
  atomic_add(&to->low, sum.low);
  atomic_add(reinterpret_cast<std::uint64_t*>(&to->high), static_cast<std::uint64_t>(sum.high));
}

struct TallySum {
  Limbs value, cost, listed;
  std::uint32_t rounded = 0, idle = 0;

  BIDFCL_HD void join(const TallySum& other) {
    value.join(other.value);
    cost.join(other.cost);
    listed.join(other.listed);
    rounded |= other.rounded;
  }
  BIDFCL_HD void to(Tally* tally) const {
    add(&tally->value, value);
    add(&tally->cost, cost);
    add(&tally->listed, listed);
    if (rounded) atomic_add(&tally->rounded, 1);
  }
};

// A user's choice at both ends of the bracket, in the rows' own type; in doubt it is left open.
template <class T>
struct SweepBody : RowBody {
  using Sum = TallySum;
  using Wide = void;
  using Ends = EndChoices<T, std::int32_t>;
  PassJob<T> job;

  BIDFCL_HD std::int64_t users(std::int64_t b) const { return job.in.users(b); }
  BIDFCL_HD bool skips(std::int64_t b) const { return !job.survey[b].usable(); }
  BIDFCL_HD void stage(std::int64_t b, std::int64_t first, int rows, int lane, char* tile) const {
    RowTile<T>(tile, job.in.base.items).stage(job.in.problem(b), first, rows, lane);
  }
  static BIDFCL_HD Ends nothing() {
    const T never = -std::numeric_limits<T>::infinity();
    Ends out{};
    out.high.first = out.high.second = out.low = never;
    return out;
  }
  BIDFCL_HD void settle(std::int64_t i, const Ends& found, bool rounded, const Scales& scales, Sum& sum) const {
    const BracketEnds<T>& ends = job.guess->ends;
    const T relative = 4 * std::numeric_limits<T>::epsilon();
    sum.rounded |= rounded;
    const bool settled =
        job.guess->sweeps && settled_between<true, T, std::int32_t>(found, ends.low, ends.high, relative,
                                                                    ends.doubt_low, ends.doubt_high, ends.leverage);
    if (settled) {
      job.choice[i] = found.high.index;
      sum.value.take(scales.value(static_cast<double>(found.value)));
      sum.cost.take(scales.cost(static_cast<double>(found.cost)));
      return;
    }
    const auto at = static_cast<std::int64_t>(atomic_add(&job.counts->open, 1));
    if (at < job.open_room) job.open[at] = static_cast<std::int32_t>(i);
  }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int lane, int, char* tile, Sum& sum) const {
    const int items = job.in.base.items;
    const RowTile<T> cells = RowTile<T>(tile, items).row(lane, items);
    const RowView<T> view = job.in.problem(b).row(i);
    const BracketEnds<T>& ends = job.guess->ends;
    const Scales scales = job.survey[b].scales();
    const T whole = static_cast<T>(least_whole<T>(scales.cost));
    Ends found = nothing();
    bool rounded = false;
    for (int j = 0; j < items; ++j) {
      if (!view.open_at(j)) continue;
      const T cost = cells.cost[j];
      take_both<true, T, std::int32_t>(found, cells.value[j], cost, ends.low, ends.high, j);
      rounded |= magnitude(cost) < whole && !scales.cost.is_exact(static_cast<double>(cost));
    }
    settle(i, found, rounded, scales, sum);
  }
  template <class Group>
  BIDFCL_HD void wide_row(std::int64_t b, std::int64_t i, const Group& group, int, char*, Sum& sum) const {
    struct Part {
      Ends ends;
      std::int32_t rounded;
    };
    const RowView<T> view = job.in.problem(b).row(i);
    const BracketEnds<T>& ends = job.guess->ends;
    const Scales scales = job.survey[b].scales();
    const auto take = [&](Part& part, int j) {
      if (!view.open_at(j)) return;
      const T cost = view.cost_at(j);
      take_both<true, T, std::int32_t>(part.ends, view.value_at(j), cost, ends.low, ends.high, j);
      part.rounded |= !scales.cost.is_exact(static_cast<double>(cost));
    };
    const auto join = [](Part& own, const Part& other) {
      own.ends.join(other.ends);
      own.rounded |= other.rounded;
    };
    const Part all = group.reduce(job.in.base.items, Part{nothing(), 0}, take, join);
    if (group.leads()) settle(i, all.ends, all.rounded != 0, scales, sum);
  }
  BIDFCL_HD void finish(std::int64_t b, std::int64_t, int, const Sum& sum) const { sum.to(job.tally + b); }
};

// Walks hulls: of the open users, or of everybody.
template <class T>
struct WalkBody : RowBody {
  using Sum = TallySum;
  PassJob<T> job;

  BIDFCL_HD std::int64_t users(std::int64_t b) const {
    if (!job.guess) return job.in.users(b);
    const auto open = static_cast<std::int64_t>(job.counts->open);
    return open < job.open_room ? open : job.open_room;
  }
  BIDFCL_HD bool skips(std::int64_t b) const { return !job.survey[b].usable(); }
  BIDFCL_HD void row(std::int64_t b, std::int64_t k, int lane, int, char* tile, Sum& sum) const {
    const std::int64_t i = job.guess ? job.open[k] : k;
    const RowView<T> view = job.in.problem(b).row(i);
    const Scales scales = job.survey[b].scales();
    FixedRow row = fixed_row(tile, lane, view.items);
    quantise(view, scales.value, scales.cost, row);
    if (!job.guess) {
      BIDFCL_ROLLED
      for (int j = 0; j < view.items; ++j)
        sum.rounded |= view.open_at(j) && !scales.cost.is_exact(static_cast<double>(view.cost_at(j)));
    }
    const int first = cheapest(row);
    if (first < 0) return;
    const double low = job.guess ? job.guess->below : 0.0;
    const double high = job.guess ? job.guess->above : std::numeric_limits<double>::infinity();
    const int begin = walk_between(row, first, low, high, [&](Edge& edge) {
      edge.user = static_cast<std::int32_t>(i);
      sum.listed.take(edge.cost);
      const auto at = static_cast<std::int64_t>(atomic_add(&job.counts->edges, 1));
      if (at < job.edge_room) job.edges[at] = {edge, static_cast<std::int32_t>(b), 0};
    });
    if (job.choice) job.choice[i] = begin;
    sum.value.take(row.value[begin]);
    sum.cost.take(row.cost[begin]);
  }
  BIDFCL_HD void finish(std::int64_t b, std::int64_t, int, const Sum& sum) const { sum.to(job.tally + b); }
};

}  // namespace

template <class T>
void pass(const Device& device, const PassJob<T>& job) {
  const DeviceLimits limits = limits_of(device);
  const int items = job.in.base.items;
  clear(device, job.counts, static_cast<std::int64_t>(sizeof(Counts)));
  clear(device, job.tally, job.in.count * static_cast<std::int64_t>(sizeof(Tally)));
  if (job.guess) {
    SweepBody<T> sweep{};
    sweep.job = job;
    launch(device, plan_rows(1, job.in.most, RowTile<T>::bytes(items), 0, limits), sweep);
  }
  WalkBody<T> walk{};
  walk.job = job;
  const std::int64_t rows = job.guess ? job.open_room : job.in.most;
  launch(device, plan_rows(job.in.count, rows, fixed_tile_bytes(items), -1, limits), walk);
}

template void pass(const Device&, const PassJob<float>&);
template void pass(const Device&, const PassJob<double>&);

}  // namespace bidfcl
