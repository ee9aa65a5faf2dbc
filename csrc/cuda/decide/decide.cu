// Decisions at given multipliers: one pass, no search. And the users whose decision is contested, by a margin.
//
// A row is decided in its own type where that leaves no doubt, else in integers.

#include <cmath>
#include <vector>

#include <thrust/copy.h>
#include <thrust/iterator/counting_iterator.h>

#include "core/bracket.h"
#include "core/limbs.h"
#include "core/threshold.h"
#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/machine/numbers.h"
#include "cuda/machine/ordered.cuh"
#include "cuda/solver/fixed_tile.h"
#include "cuda/solver/instances.h"
#include "cuda/solver/survey.h"
#include "shapes.h"
#include "status.h"

namespace bidfcl {
namespace {

constexpr std::int32_t kContested = -2;

struct Decided {
  Limbs value, cost;
  std::uint64_t exactly;  // users too close to call in floating point
};

struct DecidedSum {
  Limbs value, cost;
  std::uint64_t exactly = 0;

  BIDFCL_HD void join(const DecidedSum& other) {
    value.join(other.value);
    cost.join(other.cost);
    exactly += other.exactly;
  }
};

template <class T>
struct BestOf {
  Best<T, std::int32_t> best;
  T value, cost;  // of the best
  T reach;        // the largest |cost|: the multiplier is rounded to the row's type, and moves scores by as much

  BIDFCL_HD void take(T v, T c, T multiplier, std::int32_t j) {
    const T at = score<true>(v, multiplier, c);
    value = at > best.first ? v : value;
    cost = at > best.first ? c : cost;
    best.take(at, j);
    reach = larger(reach, magnitude(c));
  }
  BIDFCL_HD void join(const BestOf& other) {
    const bool theirs =
        other.best.first > best.first || (other.best.first == best.first && other.best.index < best.index);
    value = theirs ? other.value : value;
    cost = theirs ? other.cost : cost;
    reach = larger(reach, other.reach);
    best.join(other.best);
  }
};

template <class T>
struct DecideBody : RowBody {
  using Sum = DecidedSum;
  using Wide = void;
  Instances<T> in;
  const Survey* survey;  // null: `scales` are given
  Scales scales;
  const double* multiplier;  // [problems]
  double margin;
  bool list;  // who is in doubt is marked, and not decided exactly
  std::int32_t* choice;
  std::int64_t choice_stride;
  Decided* out;

  BIDFCL_HD std::int64_t users(std::int64_t b) const { return in.users(b); }
  BIDFCL_HD void stage(std::int64_t b, std::int64_t first, int rows, int lane, char* tile) const {
    RowTile<T>(tile, in.base.items).stage(in.problem(b), first, rows, lane);
  }
  BIDFCL_HD std::int32_t* choice_of(std::int64_t b) const {
    return choice + b * choice_stride + (in.first ? in.first[b] : 0);
  }
  static BIDFCL_HD BestOf<T> nothing() {
    const T never = -std::numeric_limits<T>::infinity();
    return {{never, never, 0}, T{}, T{}, T{}};
  }
  // `found` is the best of the row in its own type; `scratch` is for one row in fixed point.
  BIDFCL_HD void settle(std::int64_t b, std::int64_t i, const RowView<T>& view, const BestOf<T>& found,
                        FixedRow& scratch, Sum& sum) const {
    std::int32_t* const out_choice = choice_of(b) + i;
    if (survey && !survey[b].usable()) {
      *out_choice = -1;
      return;
    }
    const Scales own = survey ? survey[b].scales() : scales;
    const double at = multiplier[b];
    const T doubt = decision_doubt<T>(at, margin, own.value, own.cost);
    const T relative = 4 * std::numeric_limits<T>::epsilon();
    if (certain_at_high<false, T>(found.best.first, found.best.second, found.reach, static_cast<T>(at), relative,
                                  doubt)) {
      *out_choice = found.best.index;
      sum.value.take(own.value(static_cast<double>(found.value)));
      sum.cost.take(own.cost(static_cast<double>(found.cost)));
      return;
    }
    ++sum.exactly;
    if (list) {
      *out_choice = kContested;
      return;
    }
    quantise(view, own.value, own.cost, scratch);
    const int chosen = after_steeper(scratch, cheapest(scratch), Threshold::of(at, own.value, own.cost));
    *out_choice = chosen;
    sum.value.take(scratch.value[chosen]);
    sum.cost.take(scratch.cost[chosen]);
  }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int lane, int, char* tile, Sum& sum) const {
    const int items = in.base.items;
    const RowTile<T> cells = RowTile<T>(tile, items).row(lane, items);
    const RowView<T> view = in.problem(b).row(i);
    const T at = static_cast<T>(multiplier[b]);
    BestOf<T> found = nothing();
    for (int j = 0; j < items; ++j)
      if (view.open_at(j)) found.take(cells.value[j], cells.cost[j], at, j);
    FixedRow scratch = fixed_row(tile + (RowTile<T>::bytes(items) + 7) / 8 * 8, lane, items);
    settle(b, i, view, found, scratch, sum);
  }
  template <class Group>
  BIDFCL_HD void wide_row(std::int64_t b, std::int64_t i, const Group& group, int, char* tile, Sum& sum) const {
    const int items = in.base.items;
    const RowView<T> view = in.problem(b).row(i);
    const T at = static_cast<T>(multiplier[b]);
    const auto take = [&](BestOf<T>& part, int j) {
      if (view.open_at(j)) part.take(view.value_at(j), view.cost_at(j), at, j);
    };
    const BestOf<T> found =
        group.reduce(items, nothing(), take, [](BestOf<T>& own, const BestOf<T>& other) { own.join(other); });
    if (!group.leads()) return;
    auto* const numbers = reinterpret_cast<std::int64_t*>(tile);
    FixedRow scratch{numbers, numbers + items, reinterpret_cast<double*>(numbers + 2 * items), items};
    settle(b, i, view, found, scratch, sum);
  }
  BIDFCL_HD void finish(std::int64_t b, std::int64_t, int, const Sum& sum) const {
    atomic_add(&out[b].value.low, sum.value.low);
    atomic_add(reinterpret_cast<std::uint64_t*>(&out[b].value.high), static_cast<std::uint64_t>(sum.value.high));
    atomic_add(&out[b].cost.low, sum.cost.low);
    atomic_add(reinterpret_cast<std::uint64_t*>(&out[b].cost.high), static_cast<std::uint64_t>(sum.cost.high));
    atomic_add(&out[b].exactly, sum.exactly);
  }
};

template <class T>
void run(const Device& device, const DecideBody<T>& body) {
  const int items = body.in.base.items;
  clear(device, body.out, body.in.count * static_cast<std::int64_t>(sizeof(Decided)));
  const std::int64_t bytes = (RowTile<T>::bytes(items) + 7) / 8 * 8 + fixed_tile_bytes(items);
  launch(device,
         plan_rows(body.in.count, body.in.most, bytes, 24 * static_cast<std::int64_t>(items), limits_of(device)), body);
}

template <class T>
void decide_all(const Device& device, const Problems& p, const double* multiplier, const Plans& out) {
  if (p.count == 0) return;
  DecideBody<T> body{};
  body.in = instances_of<T>(device, p, 0, p.count);
  const auto count = static_cast<std::size_t>(p.count);
  double* const at = device.room<double>(p.count);
  upload(device, at, multiplier, p.count * static_cast<std::int64_t>(sizeof(double)));
  body.out = reinterpret_cast<Decided*>(
      device.room<char>(p.count * static_cast<std::int64_t>(sizeof(Decided) + sizeof(Survey))));
  Survey* const made = reinterpret_cast<Survey*>(body.out + p.count);
  survey(device, body.in, made);
  body.survey = made;
  body.multiplier = at;
  body.choice = out.choice + (body.in.first ? 0 : p.start[0]);
  body.choice_stride = out.choice_stride;
  run(device, body);
  std::vector<char> seen(count * (sizeof(Decided) + sizeof(Survey)));
  download(device, seen.data(), body.out, static_cast<std::int64_t>(seen.size()));
  const auto* const decided = reinterpret_cast<const Decided*>(seen.data());
  const auto* const surveys = reinterpret_cast<const Survey*>(decided + count);
  for (std::int64_t b = 0; b < p.count; ++b) {
    const Survey& s = surveys[b];
    const Decided& d = decided[b];
    const double nothing = std::nan("");
    out.multiplier[b] = multiplier[b];
    out.value[b] = out.spend[b] = out.dual_bound[b] = out.gap[b] = out.least_budget[b] = nothing;
    out.value_unit[b] = out.cost_unit[b] = nothing;
    out.rows_read[b] = 2 * (p.stop[b] - p.start[b]);
    out.sweeps[b] = s.usable();
    out.active[b] = static_cast<std::int64_t>(d.exactly);
    out.status[b] = s.broken ? kNotFinite : s.closed ? kNoOpenTreatment : kSolved;
    if (s.broken) continue;
    const Scales scales = s.scales();
    out.value_unit[b] = s.value > 0 ? scales.value.nearest(1) : 0;
    out.cost_unit[b] = s.cost > 0 ? scales.cost.nearest(1) : 0;
    if (s.closed) continue;
    out.value[b] = scales.value.nearest(d.value.total());
    out.spend[b] = scales.cost.nearest(d.cost.total());
    out.dual_bound[b] = scales.value.above(d.value.total());
    out.gap[b] = 0;
  }
}

struct IsContested {
  const std::int32_t* choice;
  BIDFCL_HD bool operator()(std::int32_t i) const { return choice[i] == kContested; }
};

struct Differs {
  const std::int32_t *choice, *plan;
  BIDFCL_HD bool operator()(std::int32_t i) const { return choice[i] != kContested && choice[i] != plan[i]; }
};

struct Gather {
  const std::int32_t *choice, *users;
  std::int32_t* out;
  BIDFCL_HD void operator()(std::int64_t k) const { out[k] = choice[users[k]]; }
};

template <class T>
ContestedCount contested_users(const Device& device, const Problems& p, const std::int32_t* plan, double multiplier,
                               double margin, double value_unit, double cost_unit, const ContestedUsers& out) {
  DecideBody<T> body{};
  body.in = instances_of<T>(device, p, 0, 1);
  double* const at = device.room<double>(1);
  upload(device, at, &multiplier, static_cast<std::int64_t>(sizeof multiplier));
  // Units of 2^-61 of the largest: any scale with these units serves.
  body.scales = {FixedPoint::for_largest(std::ldexp(value_unit, kFixedPointBits - 1)),
                 FixedPoint::for_largest(std::ldexp(cost_unit, kFixedPointBits - 1))};
  body.multiplier = at;
  body.margin = margin;
  body.list = true;
  body.choice = device.room<std::int32_t>(body.in.most);
  body.out = device.room<Decided>(1);
  run(device, body);
  Decided all;
  download(device, &all, body.out, static_cast<std::int64_t>(sizeof all));
  ContestedCount count{};
  const thrust::counting_iterator<std::int32_t> users(0);
  const auto end = users + static_cast<std::int32_t>(body.in.most);
  count.users = counted(device, [&](const auto& policy) {
    return thrust::copy_if(policy, users, end, out.users, IsContested{body.choice}) - out.users;
  });
  count.others = counted(device, [&](const auto& policy) {
    return thrust::copy_if(policy, users, end, out.others, Differs{body.choice, plan}) - out.others;
  });
  launch(device, plan_rows(1, count.others, 0, -1, limits_of(device)),
         Each<Gather>({body.choice, out.others, out.best}, count.others));
  std::int64_t* totals = out.totals;
  for (const int128 total : {all.value.total(), all.cost.total()}) {
    *totals++ = static_cast<std::int64_t>(total >> 32);
    *totals++ = static_cast<std::int64_t>(total & 0xffffffff);
  }
  return count;
}

}  // namespace

void cuda::decide(const Device& device, const Problems& problems, const double* multiplier, const Plans& plans) {
  const OnDevice use(device);
  if (is_double(problems)) decide_all<double>(device, problems, multiplier, plans);
  else decide_all<float>(device, problems, multiplier, plans);
}

ContestedCount cuda::contested(const Device& device, const Problems& p, const std::int32_t* plan, double multiplier,
                               double margin, double value_unit, double cost_unit, const ContestedUsers& out) {
  const OnDevice use(device);
  const auto find = is_double(p) ? contested_users<double> : contested_users<float>;
  return find(device, p, plan, multiplier, margin, value_unit, cost_unit, out);
}

}  // namespace bidfcl
