#include "small.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../../core/bracket.h"
#include "climb_kernels.h"
#include "edges.h"
#include "pass.h"
#include "solver.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kFewest = 64, kMost = 2048;  // users
constexpr int kLost = 4;                            // problems given up, and the neighbours are not asked any more
constexpr int kTries = 3;                           // multipliers to begin from
constexpr double kSurprise = 16;                    // how much larger than next door's the largest number may be
constexpr int kBuckets = 256;                       // of edges
constexpr std::int64_t kMany = 8;                   // one in so many users may be odd

// A little inside a range: an edge this close to an end may have company beyond it.
constexpr double kInside = 1.0 / (1ull << 45);

// Inside the range of float, so that no difference or quotient of whole numbers leaves it.
bool is_moderate(double x) { return x > std::ldexp(1.0, -30) && x < std::ldexp(1.0, 30); }

bool is_small(const InstanceView<float>& in) {
  return in.users >= kFewest && in.users <= kMost && in.is_plain() && in.offsets == nullptr && in.items >= 4 &&
         in.items <= kMostDescended;
}

// So many edges below λ* are wanted.
std::size_t window_of(bool fill) { return fill ? kFillWindow : 1; }

}  // namespace

struct SmallProblems::Problem {
  const InstanceView<float>& instance;
  double budget_asked;
  bool fill;
  std::int32_t* choice;
  Scales scales;  // from here on once all numbers were seen
  Largest seen;
  int128 budget = 0;
  Totals before;  // of the choices at the high end
  std::int64_t odd = 0, active = 0;

  double slope(double multiplier) const { return std::ldexp(multiplier, scales.value.shift - scales.cost.shift); }
};

void SmallProblems::forget() {
  near_ = spread_ = 0;
  lost_ = 0;
}

void SmallProblems::see(double multiplier) {
  constexpr double kWeight = 0.25, kFirst = 0.01;
  if (!(multiplier > 0) || !std::isfinite(multiplier)) return;
  if (near_ == 0) {
    near_ = multiplier;
    spread_ = kFirst;
    return;
  }
  const double off = multiplier / near_ - 1;
  spread_ += kWeight * (std::min(off * off, 4.0) - spread_);
  near_ += kWeight * (multiplier - near_);
}

void SmallProblems::learn(const Solution& found) {
  if (found.status != kSolved) return;
  see(found.multiplier);
  // A unit is 2^-61 of a power of two above the largest.
  limits_.value = std::ldexp(found.value_unit, kFixedPointBits) * kSurprise;
  limits_.cost = std::ldexp(found.cost_unit, kFixedPointBits) * kSurprise;
}

void SmallProblems::make_room(const InstanceView<float>& in) {
  if (in.users > users_ || in.items > items_) {
    users_ = std::max(users_, in.users);
    items_ = std::max(items_, in.items);
    const auto users = static_cast<std::size_t>(users_);
    stop_.reset(new std::int32_t[users]);
    odd_.reset(new std::int32_t[users + kWidestPack]);
    active_.reset(new std::int32_t[users + kWidestPack]);
    slope_.reset(new std::int32_t[users]);
    dearer_.reset(new float[users]);
    const std::size_t edges = users * static_cast<std::size_t>(items_ - 1);
    edges_.reset(new Edge[edges]);
    bucket_.reset(new std::int32_t[edges]);
    picked_.reset(new std::int32_t[edges + kWidestPack]);
  }
  lister_.prepare(in.items);
}

bool SmallProblems::solve(const InstanceView<float>& in, double budget, bool fill, std::int32_t* choice,
                          Solution& out) {
  constexpr double kErrors = 1.5, kLeast = 1.03, kMostReach = 4;
  if (!is_small(in) || near_ == 0 || lost_ >= kLost || !is_moderate(limits_.value) || !is_moderate(limits_.cost))
    return false;
  make_room(in);
  Problem p{in, budget, fill, choice, {}, {}, 0, {}, 0, 0};
  double reach = std::min(kMostReach, kLeast + kErrors * std::sqrt(spread_));
  for (int tries = 0; tries < kTries; ++tries, reach *= reach) {
    const auto high = static_cast<float>(near_ * reach);
    if (!(high > 0) || !is_moderate(high)) break;
    const Try found = descend(p, high, out);
    if (found == Try::kLost) break;
    if (found == Try::kTooLow) continue;
    see(out.multiplier);
    out.sweeps = tries + 1;
    out.rows_read = out.sweeps * in.users;
    return true;
  }
  ++lost_;
  return false;
}

SmallProblems::Try SmallProblems::descend(Problem& p, float high, Solution& out) {
  const InstanceView<float>& in = p.instance;
  Largest room = limits_;
  room.value *= kRoom;
  room.cost *= kRoom;
  const Scales units = Scales::of(room);
  if (!can_count_whole<float>(units.value, units.cost)) return Try::kLost;
  FirstJob job{in, high, doubt_at<float>(high, units.value, units.cost), {}, units.value, units.cost};
  job.whole = {true, static_cast<float>(least_whole<float>(units.value)),
               static_cast<float>(least_whole<float>(units.cost))};
  FirstRun run{p.choice, stop_.get(), slope_.get(), dearer_.get(), odd_.get(), 0, {}, {}};
  for (std::int64_t at = 0; at < in.users; at += kBlock)
    descent_kernels<float>().first(job, at, std::min(in.users, at + kBlock), run);
  p.seen = run.seen;
  if (!p.seen.finite || p.seen.value > limits_.value || p.seen.cost > limits_.cost || p.seen.value == 0 ||
      p.seen.cost == 0 || run.odd_count * kMany > in.users)
    return Try::kLost;

  p.scales = Scales::of(p.seen);
  p.budget = p.scales.cost.floor(p.budget_asked);
  p.before.value = run.before.value * (int128{1} << (p.scales.value.shift - units.value.shift));
  p.before.cost = run.before.cost * (int128{1} << (p.scales.cost.shift - units.cost.shift));
  edge_count_ = 0;
  p.odd = run.odd_count;
  list_first_odd(p, run, high);
  if (p.before.cost > p.budget) return Try::kTooLow;
  // Everybody's first edges alone spend the money there, and leave as many edges as are wanted.
  const float low = descent_kernels<float>().lowest(
      {slope_.get(), dearer_.get(), in.users, high, static_cast<float>(p.scales.cost.nearest(p.budget - p.before.cost)),
       static_cast<std::int32_t>(window_of(p.fill)) + 2});
  list_active(p, low, high);
  if (p.odd * kMany > in.users) ++lost_;
  return finish(p, low, high, out) ? Try::kSolved : Try::kLost;
}

// Those whose choice at the high end is not certain: their whole hulls from there on.
void SmallProblems::list_first_odd(Problem& p, const FirstRun& run, float high) {
  if (run.odd_count == 0) return;
  open_.clear();
  for (std::int64_t k = 0; k < run.odd_count; ++k) open_.push_back({run.odd[k], -1});
  const WalkJob<float> walk = walk_job(p.instance, p.scales.value, p.scales.cost, Bracket{0, high});
  lister_.walk(walk, open_.data(), run.odd_count,
               [&](const Open* users, std::int64_t count, const WalkRun& found, std::int64_t edges) {
                 p.before.add(found.before);
                 for (std::int64_t k = 0; k < count; ++k) p.choice[users[k].user] = found.at[k];
                 std::copy(found.edges, found.edges + edges, edges_.get() + edge_count_);
                 edge_count_ += static_cast<std::size_t>(edges);
               });
}

// Everybody's edges between the ends.
void SmallProblems::list_active(Problem& p, float low, float high) {
  // Floats order like the integers that hold their bits; the negative ones backwards, from the least integer up.
  constexpr std::int32_t kLeast = std::numeric_limits<std::int32_t>::min();
  constexpr std::int32_t kLargest = std::numeric_limits<std::int32_t>::max();
  const std::int32_t least = std::max(1, FloatBuckets::bits(low));
  const DescentKernels<float>& kernels = descent_kernels<float>();
  p.active = kernels.pick(slope_.get(), p.instance.users, least, kLargest, active_.get());
  const std::int64_t odd = kernels.pick(slope_.get(), p.instance.users, kLeast + least, -1, odd_.get());
  const auto factor = [](const FixedPoint& scale) { return scale.factor * scale.factor_too; };
  const MoreJob job{p.instance, low, factor(p.scales.value), factor(p.scales.cost), p.choice, stop_.get()};
  MoreRun run{edges_.get(), odd_.get(), static_cast<std::int64_t>(edge_count_), odd};
  kernels.more(job, active_.get(), p.active, run);
  edge_count_ = static_cast<std::size_t>(run.edge_count);
  p.odd += run.odd_count;
  if (run.odd_count == 0) return;
  open_.clear();
  for (std::int64_t k = 0; k < run.odd_count; ++k) {
    const std::int32_t user = odd_[static_cast<std::size_t>(k)];
    open_.push_back({user, p.choice[user]});
  }
  const WalkJob<float> walk = walk_job(p.instance, p.scales.value, p.scales.cost, Bracket{low, high});
  // Their choices at the high end are counted already.
  lister_.walk(walk, open_.data(), run.odd_count,
               [&](const Open*, std::int64_t, const WalkRun& found, std::int64_t edges) {
                 std::copy(found.edges, found.edges + edges, edges_.get() + edge_count_);
                 edge_count_ += static_cast<std::size_t>(edges);
               });
}

// As Solver::finish, for edges that are all at hand. False if that does not end it.
bool SmallProblems::finish(Problem& p, float low_end, float high_end, Solution& out) {
  constexpr float kFlattest = 1.0f / 64;
  constexpr std::int32_t kFew = 16;  // edges in a bucket that neighbours sort out
  constexpr int top = kBuckets - 1;
  const SlopeBuckets map =
      SlopeBuckets::between(p.slope(std::max(low_end, high_end * kFlattest)), p.slope(high_end), kBuckets);
  struct Cell {
    double cost = 0;
    std::int32_t edges = 0;
  } cells[kBuckets];
  for (std::size_t k = 0; k < edge_count_; ++k) {
    const int b = map(edges_[k].slope);
    bucket_[k] = b;
    cells[b].cost += static_cast<double>(edges_[k].cost);
    ++cells[b].edges;
  }
  // About where the money runs out; what follows is exact, and sees if this was not.
  auto room = static_cast<double>(p.budget - p.before.cost);
  int split_bucket = top;
  while (split_bucket >= 0 && cells[split_bucket].cost <= room) room -= cells[split_bucket--].cost;
  if (split_bucket < 0 && low_end > 0) return false;

  const std::size_t window = window_of(p.fill);
  int high = std::min(top, split_bucket + 1), low = std::max(0, split_bucket);
  for (std::size_t below = 0; low > 0 && below < window; below += static_cast<std::size_t>(cells[low].edges)) --low;
  const auto steeper = [](const Edge* a, const Edge* b) { return Steeper()(*a, *b); };
  Totals above, plan;
  std::size_t split = 0, end = 0, total = 0;
  for (;;) {
    // By bucket, from the steepest down; then by comparison.
    std::uint32_t place[kBuckets] = {};
    std::int32_t most = 0;
    total = 0;
    for (int b = high; b >= low; --b) {
      place[b] = static_cast<std::uint32_t>(total);
      total += static_cast<std::size_t>(cells[b].edges);
      most = std::max(most, cells[b].edges);
    }
    const auto picked = [&](int from, int to, const auto& see) {
      const std::int64_t count =
          descent_kernels<float>().pick(bucket_.get(), static_cast<std::int64_t>(edge_count_), from, to, picked_.get());
      for (std::int64_t k = 0; k < count; ++k) see(picked_[static_cast<std::size_t>(k)]);
    };
    order_.resize(total);
    picked(low, high, [&](std::int32_t k) { order_[place[bucket_[k]]++] = &edges_[k]; });
    above = p.before;
    picked(high + 1, top, [&](std::int32_t k) {
      above.add({edges_[k].value, edges_[k].cost});
      p.choice[edges_[k].user] = edges_[k].stop;
    });
    if (most > kFew) {
      std::sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(total), steeper);
    } else {
      for (std::size_t k = 1; k < total; ++k) {
        const Edge* e = order_[k];
        std::size_t at = k;
        for (; at > 0 && steeper(e, order_[at - 1]); --at) order_[at] = order_[at - 1];
        order_[at] = e;
      }
    }
    plan = above;
    for (split = 0; split < total && plan.cost + order_[split]->cost <= p.budget; ++split)
      plan.add({order_[split]->value, order_[split]->cost});
    end = std::min(total, split + window);
    // Rounded slopes may be out of order where buckets meet: what was looked at must lie clear of the rest.
    const bool all = low == 0 && split == total;
    const bool clear_above =
        high == top ||
        (above.cost <= p.budget && (all || (split < total && map(order_[split]->slope * (1 + kInside)) <= high)));
    const bool clear_below = low == 0 || (end == split + window && map(order_[end - 1]->slope * (1 - kInside)) >= low);
    if (clear_above && clear_below) break;
    // All of it again, from the start.
    for (std::size_t k = edge_count_; k-- > 0;) p.choice[edges_[k].user] = edges_[k].start;
    high = clear_above ? high : top;
    low = clear_below ? low : 0;
  }
  // Is everything that matters on the list?
  if (low_end > 0 && (end < split + window || order_[end - 1]->slope < p.slope(low_end) * (1 + kDescentSlack)))
    return false;
  if (split < total && order_[split]->slope > p.slope(high_end) * (1 - kInside)) return false;

  // A user's edges are bought in turn; only where rounding put a later one into a higher bucket is it there already.
  for (std::size_t k = 0; k < split; ++k)
    if (p.choice[order_[k]->user] == order_[k]->start) p.choice[order_[k]->user] = order_[k]->stop;

  write_units(p.scales, p.seen, out);
  out.least_budget = std::nan("");
  out.active = p.active + p.odd;
  const Ending ending{p.scales, p.budget, p.instance.users, costs_rounded(p.instance, p.seen, 1), p.fill};
  end_plan(ending, [&](std::size_t k) -> const Edge& { return *order_[k]; }, split, end, total, plan, p.choice, out);
  return true;
}

}  // namespace bidfcl
