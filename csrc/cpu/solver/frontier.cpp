// The exact budget frontier: every hull edge, by falling slope, and its prefix sums.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "../../capi.h"
#include "../../status.h"
#include "../machine/for_rows.h"
#include "by_slope.h"
#include "edges.h"
#include "problems.h"
#include "survey.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kPiece = 1 << 15;  // edges a thread adds up at a time

// Back from fixed point, as FixedPoint::nearest() has it: products with powers of two, since a call for each number is
// slow. Only the second can round.
struct Back {
  double factor, factor_too;

  explicit Back(const FixedPoint& scale) : factor(1 / scale.factor), factor_too(1 / scale.factor_too) {}
  double operator()(int128 n) const { return static_cast<double>(n) * factor * factor_too; }
};

// Slopes from numbers that a double holds exactly need one division; it rounds as slope_nearest() does.
struct Multiplier {
  FixedPoint value, cost;
  double factor;

  Multiplier(const FixedPoint& value_scale, const FixedPoint& cost_scale)
      : value(value_scale), cost(cost_scale), factor(std::ldexp(1.0, cost.shift - value.shift)) {}

  double operator()(const Rise& e) const {
    const auto rise = static_cast<double>(e.value), run = static_cast<double>(e.cost);
    const double slope = rise / run * factor;
    const bool exact = static_cast<std::int64_t>(rise) == e.value && static_cast<std::int64_t>(run) == e.cost &&
                       std::isnormal(factor) && std::isnormal(slope);
    return exact ? slope : slope_nearest(e.value, e.cost, value, cost);
  }
};

// Sorted edges, and what is spent before each piece of them.
struct Frontier {
  struct Piece {
    Totals before;
    std::int64_t points = 0;
  };

  int status = kSolved;
  FixedPoint value_scale{}, cost_scale{};
  Rises edges;
  std::vector<Piece> pieces;
  Totals cheapest;
  std::int64_t points = 1;

  std::int64_t count() const { return static_cast<std::int64_t>(edges.count); }

  // Equal slopes are one breakpoint: where the last of them ends.
  bool ends_at(std::int64_t k) const {
    if (k + 1 == count()) return true;
    const Rise &e = edges.all[static_cast<std::size_t>(k)], &next = edges.all[static_cast<std::size_t>(k + 1)];
    return compare_slopes(e.slope, e.value, e.cost, next.slope, next.value, next.cost) != 0;
  }

  void add_up(int threads) {
    pieces.resize(static_cast<std::size_t>((count() + kPiece - 1) / kPiece));
    for_chunks(count(), kPiece, threads, [&](std::int64_t p, std::int64_t begin, std::int64_t end) {
      Piece sum;
      for (std::int64_t k = begin; k < end; ++k) {
        const Rise& e = edges.all[static_cast<std::size_t>(k)];
        sum.before.add({e.value, e.cost});
        sum.points += ends_at(k) ? 1 : 0;
      }
      pieces[static_cast<std::size_t>(p)] = sum;
    });
    Totals sum = cheapest;
    for (Piece& piece : pieces) {
      const Piece own = piece;
      piece = {sum, points};
      sum.add(own.before);
      points += own.points;
    }
  }
};

template <class T>
void build(const Problems& p, int threads, Frontier& out) {
  constexpr std::int64_t kChunk = 1024;  // users a thread takes at a time
  const InstanceView<T> instance = instance_of<T>(p, 0);
  const Largest largest = largest_of(instance, threads);
  if (!largest.finite) {
    out.status = kNotFinite;
    return;
  }
  out.value_scale = FixedPoint::for_largest(largest.value);
  out.cost_scale = FixedPoint::for_largest(largest.cost);
  const auto chunks = static_cast<std::size_t>((instance.users + kChunk - 1) / kChunk);
  std::vector<std::vector<Rise>> parts(chunks);
  std::vector<Totals> before(chunks);
  std::atomic<bool> closed_user{false};
  const WalkJob<T> job = walk_job(instance, out.value_scale, out.cost_scale, Bracket{0, INFINITY});
  walk_everybody(job, kChunk, threads,
                 [&](std::int64_t k, const Open*, std::int64_t, const WalkRun& run, std::int64_t n) {
                   const auto at = static_cast<std::size_t>(k);
                   for (const Edge* e = run.edges; e != run.edges + n; ++e)
                     parts[at].push_back({e->slope, e->value, e->cost});
                   before[at].add(run.before);
                   if (run.closed_user) closed_user = true;
                 });
  if (closed_user) {
    out.status = kNoOpenTreatment;
    return;
  }
  for (const Totals& each : before) out.cheapest.add(each);
  out.edges = sorted_by_slope(parts, threads);
  out.add_up(threads);
}

}  // namespace

void* frontier_new(const Problems& problems, int threads) {
  auto out = std::make_unique<Frontier>();
  if (is_double(problems)) build<double>(problems, threads, *out);
  else build<float>(problems, threads, *out);
  return out.release();
}

FrontierFound frontier_found(const void* handle) {
  const auto& f = *static_cast<const Frontier*>(handle);
  return {f.status, f.status == kSolved ? f.points : 0};
}

void frontier_write(const void* handle, int threads, const FrontierArrays& out) {
  const auto& f = *static_cast<const Frontier*>(handle);
  const Back value(f.value_scale), cost(f.cost_scale);
  const Multiplier multiplier(f.value_scale, f.cost_scale);
  const auto point = [&](std::int64_t at, const Totals& sum) {
    out.budget[at] = cost(sum.cost);
    out.value[at] = value(sum.value);
  };
  point(0, f.cheapest);
  for_chunks(f.count(), kPiece, threads, [&](std::int64_t p, std::int64_t begin, std::int64_t end) {
    Totals sum = f.pieces[static_cast<std::size_t>(p)].before;
    std::int64_t at = f.pieces[static_cast<std::size_t>(p)].points;
    for (std::int64_t k = begin; k < end; ++k) {
      const Rise& e = f.edges.all[static_cast<std::size_t>(k)];
      sum.add({e.value, e.cost});
      if (!f.ends_at(k)) continue;
      out.multiplier[at - 1] = multiplier(e);
      point(at++, sum);
    }
  });
  out.multiplier[f.points - 1] = 0;
}

void frontier_free(void* handle) { delete static_cast<Frontier*>(handle); }

}  // namespace bidfcl
