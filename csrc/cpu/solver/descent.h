// The descent: where users stand at a multiplier, and their hull edges below it, a lane a user. Included by
// descent.cpp alone.
#pragma once

#include <algorithm>
#include <type_traits>

#include "../machine/exact_sum.h"
#include "climb.h"
#include "descent_kernels.h"
#include "scan.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// A pack of rows in columns: M treatments, or any number if M = 0.
template <int M>
struct Columns {
  static constexpr int kQuad = Lanes<float>::quad;
  int items;
  FloatPack value[M ? M : kMostDescended], cost[M ? M : kMostDescended];

  explicit BIDFCL_HD Columns(int any) : items(M ? M : any) {}

  // `value_row(l)` and `cost_row(l)` are where lane l's treatments start.
  template <class Value, class Cost>
  BIDFCL_HD void load(const Value& value_row, const Cost& cost_row) {
#pragma GCC unroll 4
    for (int done = 0; done < items; done += kQuad) {
      const int first = done + kQuad <= items ? done : items - kQuad;
      load_columns([&](int l) { return value_row(l) + first; }, value + first);
      load_columns([&](int l) { return cost_row(l) + first; }, cost + first);
    }
  }

  // One treatment of each lane.
  BIDFCL_HD void pick(FlagPack at, FloatPack& value_at, FloatPack& cost_at) const {
    value_at = value[0];
    cost_at = cost[0];
#pragma GCC unroll 10
    for (int j = 1; j < items; ++j) {
      value_at = at == j ? value[j] : value_at;
      cost_at = at == j ? cost[j] : cost_at;
    }
  }
};

// The steepest way on from where each lane stands.
struct Descent {
  // Steeper than all others by this: rough quotients tell.
  static constexpr float kClear = 1 - 1.0f / (1 << 12);

  FlagPack any, clear, stop;
  FloatPack slope, value, cost;  // of the vertex it leads to

  template <int M>
  BIDFCL_HD void look(const Columns<M>& in, FloatPack value_at, FloatPack cost_at) {
    FloatPack best{}, second{};
    value = cost = FloatPack{};
    stop = FlagPack{};
#pragma GCC unroll 10
    for (int j = 0; j < in.items; ++j) {
      const FloatPack rise = in.value[j] - value_at, dearer = in.cost[j] - cost_at;
      const FloatPack slope_to = dearer > 0 ? rough_ratio(rise, dearer) : FloatPack{};
      const FlagPack better = slope_to > best;
      second = larger(second, smaller(best, slope_to));
      best = larger(best, slope_to);
      stop = better ? Lanes<float>::all_int(j) : stop;
      value = better ? in.value[j] : value;
      cost = better ? in.cost[j] : cost;
    }
    any = best > 0;
    clear = second < best * kClear;
    slope = (value - value_at) / (cost - cost_at);
  }
};

// Magnitudes of a pack's numbers, by lane. Rounds of comparisons on integers: infinity and NaN show as the largest.
struct LaneMagnitudes {
  typedef std::uint32_t Bits __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  Bits largest{}, least = ~Bits{};  // the least that is not zero, less one

  template <int M>
  BIDFCL_HD FlagPack take(const FloatPack* column, int items, float least_whole) {
    Bits own = ~Bits{};
#pragma GCC unroll 10
    for (int j = 0; j < items; ++j) {
      const Bits bits = reinterpret_cast<Bits>(magnitude(column[j]));
      largest = bits > largest ? bits : largest;
      own = bits - 1 < own ? bits - 1 : own;
    }
    least = own < least ? own : least;
    return own >= reinterpret_cast<Bits>(Lanes<float>::all(least_whole)) - 1;
  }

  void join_to(Magnitudes<float>& out) const {
    for (int l = 0; l < Lanes<float>::count; ++l) out.join(largest[l], least[l]);
  }
};

template <int M>
void first_packs(const FirstJob& job, std::int64_t begin, std::int64_t end, FirstRun& run) {
  using L = Lanes<float>;
  constexpr int W = L::count;
  constexpr bool kFused = BIDFCL_FUSED != 0;
  const InstanceView<float>& in = job.instance;
  const FloatPack high = L::all(job.high), relative = L::all(std::numeric_limits<float>::epsilon() * 4);
  const FloatPack doubt = L::all(job.doubt);
  WholeSum<float> value_sum(job.value_unit), cost_sum(job.cost_unit);
  LaneMagnitudes value_seen, cost_seen;
  Columns<M> columns(in.items);
  for (std::int64_t next = begin; next < end; next += W) {
    const std::int64_t at = std::min(next, end - W);
    const FlagPack fresh = lanes_from(next - at);
    const float* value = in.values() + at * in.value_row;
    const float* cost = in.costs() + at * in.cost_row;
    fetch_ahead(value, W * in.value_row);
    fetch_ahead(cost, W * in.cost_row);
    columns.load([&](int l) { return value + l * in.value_row; }, [&](int l) { return cost + l * in.cost_row; });
    FlagPack sure = value_seen.take<M>(columns.value, columns.items, job.whole.least_value);
    sure &= cost_seen.take<M>(columns.cost, columns.items, job.whole.least_cost);

    Best<FloatPack, FlagPack> best{L::all(kNever<float>), L::all(kNever<float>), L::all_int(0)};
    FloatPack value_at{}, cost_at{}, reach{};
#pragma GCC unroll 10
    for (int j = 0; j < columns.items; ++j) {
      const FloatPack here = score<kFused>(columns.value[j], high, columns.cost[j]);
      const FlagPack better = here > best.first;
      value_at = better ? columns.value[j] : value_at;
      cost_at = better ? columns.cost[j] : cost_at;
      best.take(here, L::all_int(j));
      if (!kFused) reach = larger(reach, magnitude(columns.cost[j]));
    }
    sure &= certain_at_high<kFused>(best.first, best.second, reach, high, relative, doubt);
    value_sum.add(value_at, sure & fresh);
    cost_sum.add(cost_at, sure & fresh);
    for (unsigned odd = bits_of(fresh & ~sure); odd != 0; odd &= odd - 1)
      run.odd[run.odd_count++] = static_cast<std::int32_t>(at + __builtin_ctz(odd));

    Descent step;
    step.look(columns, value_at, cost_at);
    const FlagPack has = step.any & sure;
    const FloatPack slope = has ? (step.clear ? step.slope : -step.slope) : FloatPack{};
    const FloatPack dearer = step.cost - cost_at;
    std::memcpy(run.choice + at, &best.index, sizeof best.index);
    std::memcpy(run.stop + at, &step.stop, sizeof step.stop);
    std::memcpy(run.slope + at, &slope, sizeof slope);
    std::memcpy(run.dearer + at, &dearer, sizeof dearer);
  }
  run.before.value += value_sum.total();
  run.before.cost += cost_sum.total();
  Magnitudes<float> value, cost;
  value_seen.join_to(value);
  cost_seen.join_to(cost);
  run.seen.join(found<float>(value, cost));
}

// What first edges as steep as a multiplier cost, and how many they are.
struct Above {
  float cost = 0;
  std::int32_t edges = 0;

  BIDFCL_HD Above(const LowestJob& job, float multiplier) {
    using L = Lanes<float>;
    constexpr int W = L::count;
    const FloatPack least = L::all(multiplier);
    FloatPack sum{};
    FlagPack count{};
    for (std::int64_t next = 0; next < job.users; next += W) {
      const std::int64_t at = std::min(next, job.users - W);
      FloatPack slope, dearer;
      std::memcpy(&slope, job.slope + at, sizeof slope);
      std::memcpy(&dearer, job.dearer + at, sizeof dearer);
      FlagPack has = slope >= least;
      if (at != next) has &= lanes_from(next - at);
      sum += has ? dearer : FloatPack{};
      count -= has;
    }
    for (int l = 0; l < W; ++l) {
      cost += sum[l];
      edges += count[l];
    }
  }
};

inline float lowest_of(const LowestJob& job) {
  constexpr int kOctaves = 2, kSteps = 7, kCells = 1 << kSteps;
  FloatBuckets map;  // equal steps on a scale that is nearly logarithmic
  map.lowest = FloatBuckets::bits(job.high / (1 << kOctaves));
  map.shift = 23 + kOctaves / 2 - kSteps;
  static_assert(kOctaves == 2);
  // The highest step at which a condition holds that holds at all lower ones; −1: at none.
  const auto highest = [&](int high, const auto& holds) {
    int low = -1;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (holds(Above(job, map.floor(middle))) ? low : high) = middle;
    }
    return low;
  };
  const float room = job.room * (1 + 1e-4f);
  const int spent = highest(kCells, [&](const Above& above) { return above.cost > room; });
  if (spent < 0) return 0;
  const std::int32_t wanted = Above(job, map.floor(spent)).edges + job.wanted;
  const int enough = highest(spent + 1, [&](const Above& above) { return above.edges >= wanted; });
  return enough < 0 ? 0 : map.floor(enough);
}

// Without a branch: which are picked is no pattern.
inline std::int64_t pick(const std::int32_t* x, std::int64_t count, std::int32_t low, std::int32_t high,
                         std::int32_t* out) {
  std::int64_t found = 0, k = 0;
#if defined(__AVX512F__)
  __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; k + 16 <= count; k += 16, place = _mm512_add_epi32(place, _mm512_set1_epi32(16))) {
    const __m512i some = _mm512_loadu_si512(x + k);
    const __mmask16 has =
        _mm512_cmpge_epi32_mask(some, _mm512_set1_epi32(low)) & _mm512_cmple_epi32_mask(some, _mm512_set1_epi32(high));
    _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(has, place));
    found += __builtin_popcount(has);
  }
#endif
  for (; k < count; ++k) {
    out[found] = static_cast<std::int32_t>(k);
    found += static_cast<int>(x[k] >= low) & static_cast<int>(x[k] <= high);
  }
  return found;
}

// A pack's edges at one position: each taken lane's goes to the end of the list.
BIDFCL_HD Edge* list_step(const MoreJob& job, const std::int32_t* user, std::int32_t position, FlagPack taken,
                          FlagPack from, FlagPack to, FloatPack value_from, FloatPack value_to, FloatPack cost_from,
                          FloatPack cost_to, Edge* out) {
  constexpr int W = Lanes<float>::count;
  std::int64_t value[W], cost[W];
  std::int32_t start[W], stop[W];
  whole_differences(value_from, value_to, job.value_factor, value);
  whole_differences(cost_from, cost_to, job.cost_factor, cost);
  std::memcpy(start, &from, sizeof start);
  std::memcpy(stop, &to, sizeof stop);
  for (unsigned each = bits_of(taken); each != 0; each &= each - 1) {
    const int l = __builtin_ctz(each);
    const double slope = static_cast<double>(value[l]) / static_cast<double>(cost[l]);
    *out++ = {slope, value[l], cost[l], user[l], position, start[l], stop[l]};
  }
  return out;
}

template <int M>
void more_packs(const MoreJob& job, const std::int32_t* users, std::int64_t count, MoreRun& run) {
  using L = Lanes<float>;
  constexpr int W = L::count;
  const InstanceView<float>& in = job.instance;
  const FloatPack low = L::all(job.low);
  Columns<M> columns(in.items);
  Edge* out = run.edges + run.edge_count;
  for (std::int64_t first = 0; first < count; first += W) {
    const int some = static_cast<int>(std::min<std::int64_t>(W, count - first));
    std::int32_t user[W], start[W], stop[W];
    for (int l = 0; l < W; ++l) {  // idle lanes repeat the first
      user[l] = users[first + (l < some ? l : 0)];
      start[l] = job.start[user[l]];
      stop[l] = job.stop[user[l]];
    }
    columns.load([&](int l) { return in.values() + user[l] * in.value_row; },
                 [&](int l) { return in.costs() + user[l] * in.cost_row; });
    FlagPack from, to;
    std::memcpy(&from, start, sizeof from);
    std::memcpy(&to, stop, sizeof to);
    FlagPack live = ~lanes_from(some), odd{};
    FloatPack value_from, cost_from, value, cost;
    columns.pick(from, value_from, cost_from);
    columns.pick(to, value, cost);
    FloatPack slope = (value - value_from) / (cost - cost_from);
    Edge* const begin = out;
    for (std::int32_t position = 0;; ++position) {
      out = list_step(job, user, position, live, from, to, value_from, value, cost_from, cost, out);
      Descent step;
      step.look(columns, value, cost);
      live &= step.any & (step.slope >= low);
      const FlagPack unclear = live & (~step.clear | (step.slope > slope));
      odd |= unclear;
      live &= ~unclear;
      if (bits_of(live) == 0) break;
      from = to;
      to = step.stop;
      value_from = value;
      cost_from = cost;
      value = step.value;
      cost = step.cost;
      slope = step.slope;
    }
    if (bits_of(odd) == 0) continue;
    for (unsigned each = bits_of(odd); each != 0; each &= each - 1) {
      const std::int32_t who = user[__builtin_ctz(each)];
      run.odd[run.odd_count++] = who;
      out = std::remove_if(begin, out, [who](const Edge& e) { return e.user == who; });
    }
  }
  run.edge_count = out - run.edges;
}

template <class Body>
BIDFCL_HD void for_items(int items, const Body& body) {
  switch (items) {
    case 5:
      return body(std::integral_constant<int, 5>());
    case 8:
      return body(std::integral_constant<int, 8>());
    case 10:
      return body(std::integral_constant<int, 10>());
    default:
      return body(std::integral_constant<int, 0>());
  }
}

inline void first_steps(const FirstJob& job, std::int64_t begin, std::int64_t end, FirstRun& run) {
  for_items(job.instance.items, [&](auto items) { first_packs<decltype(items)::value>(job, begin, end, run); });
}

inline void more_steps(const MoreJob& job, const std::int32_t* users, std::int64_t count, MoreRun& run) {
  for_items(job.instance.items, [&](auto items) { more_packs<decltype(items)::value>(job, users, count, run); });
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
