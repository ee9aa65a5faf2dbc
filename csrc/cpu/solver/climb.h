// The climb: whole hulls of a pack of users, a lane a user, in single precision. Whoever's hull rounding could change
// is odd, and left to exact arithmetic. Included by climb.cpp alone.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "climb_kernels.h"
#include "each_column.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

using FloatPack = Lanes<float>::Pack;
using FlagPack = Lanes<float>::IntPack;

// A quotient with a relative error below 2^-13.
BIDFCL_HD FloatPack rough_ratio(FloatPack a, FloatPack b) {
#if defined(__AVX512F__)
  return a * _mm512_rcp14_ps(b);
#else
  return a / b;
#endif
}

BIDFCL_HD FlagPack looked_up(const std::int32_t* table, FlagPack at) {
#if defined(__AVX512F__)
  return reinterpret_cast<FlagPack>(_mm512_i32gather_epi32(reinterpret_cast<__m512i>(at), table, 4));
#elif defined(__AVX2__)
  return reinterpret_cast<FlagPack>(_mm256_i32gather_epi32(table, reinterpret_cast<__m256i>(at), 4));
#else
  FlagPack out;
  for (int l = 0; l < Lanes<float>::count; ++l) out[l] = table[at[l]];
  return out;
#endif
}

// The last pack reaches back rather than past the end: its lanes from here on are new.
BIDFCL_HD FlagPack lanes_from(std::int64_t first) {
  FlagPack lane;
  for (int l = 0; l < Lanes<float>::count; ++l) lane[l] = l;
  return lane >= static_cast<std::int32_t>(first);
}

// The hulls of one pack: M treatments, or any number if M = 0. `Sure`: who is odd is wanted too.
template <int M, bool Sure>
class Climb {
 public:
  static constexpr int W = Lanes<float>::count;
  // Steeper than all others by this: rough quotients tell.
  static constexpr float kClear = 1 - 1.0f / (1 << 12);

  struct Step {
    FlagPack taken, stop;
    FloatPack slope, value, cost;  // of the vertex it leads to
  };

  BIDFCL_HD Climb(const ClimbJob& job) : job_(job), items_(M ? M : job.instance.items) {}

  template <class Cell>
  BIDFCL_HD void load(std::int64_t user) {
    const InstanceView<float>& in = job_.instance;
    const Cell* value = static_cast<const Cell*>(in.value) + user * in.value_row;
    const Cell* cost = static_cast<const Cell*>(in.cost) + user * in.cost_row;
    fetch_ahead(value, W * in.value_row);
    fetch_ahead(cost, W * in.cost_row);
    constexpr int kQuad = Lanes<float>::quad;
    for (int done = 0; done < items_; done += kQuad) {
      const int first = done + kQuad <= items_ ? done : items_ - kQuad;
      load_columns([&](int l) { return value + l * in.value_row + first; }, value_ + first);
      load_columns([&](int l) { return cost + l * in.cost_row + first; }, cost_ + first);
    }
  }

  BIDFCL_HD void run() {
    begin();
    FloatPack value = start_value, cost = start_cost;
    FloatPack slope_before = Lanes<float>::all(std::numeric_limits<float>::infinity());
    const FloatPack low = Lanes<float>::all(job_.low);
    FlagPack live = Lanes<float>::all_int(-1);
    odd = Lanes<float>::all_int(0);
    for (count = 0; count < items_ - 1; ++count) {
      Step& step = steps[count];
      FloatPack best{}, second{}, value_to{}, cost_to{};
      FlagPack stop{};
#pragma GCC unroll 10
      for (int j = 0; j < items_; ++j) {
        const FloatPack rise = value_[j] - value, dearer = cost_[j] - cost;
        const FloatPack slope = dearer > 0 ? rough_ratio(rise, dearer) : FloatPack{};
        const FlagPack better = slope > best;
        if constexpr (Sure) second = larger(second, smaller(best, slope));
        best = larger(best, slope);
        stop = better ? Lanes<float>::all_int(j) : stop;
        value_to = better ? value_[j] : value_to;
        cost_to = better ? cost_[j] : cost_to;
      }
      live &= best > 0;
      if (bits_of(live) == 0) break;
      const FloatPack slope = (value_to - value) / (cost_to - cost);
      live &= slope >= low;
      if constexpr (Sure) odd |= live & (~(second < best * kClear) | (slope > slope_before));
      if (bits_of(live) == 0) break;
      step = {live, stop, slope, value_to, cost_to};
      value = value_to;
      cost = cost_to;
      slope_before = slope;
    }
  }

  // Whether a lane's numbers are all 0 or not below the least.
  BIDFCL_HD FlagPack whole(float least_value, float least_cost) const {
    typedef std::uint32_t Bits __attribute__((vector_size(BIDFCL_PACK_BYTES)));
    Bits value = ~Bits{}, cost = ~Bits{};
    for (int j = 0; j < items_; ++j) {
      const Bits v = reinterpret_cast<Bits>(magnitude(value_[j])) - 1;
      const Bits c = reinterpret_cast<Bits>(magnitude(cost_[j])) - 1;
      value = v < value ? v : value;
      cost = c < cost ? c : cost;
    }
    return (value >= reinterpret_cast<Bits>(Lanes<float>::all(least_value)) - 1) &
           (cost >= reinterpret_cast<Bits>(Lanes<float>::all(least_cost)) - 1);
  }

  // Of lanes that took no step, anything: their slopes may be of any sign, and wrap.
  BIDFCL_HD FlagPack bucket(const FloatPack& slope) const {
    typedef std::uint32_t Bits __attribute__((vector_size(BIDFCL_PACK_BYTES)));
    const Bits above = reinterpret_cast<Bits>(slope) - static_cast<std::uint32_t>(job_.map.lowest);
    FlagPack at = reinterpret_cast<FlagPack>(above);
    at = at < 0 ? FlagPack{} : at >> job_.map.shift;
    return at < job_.map.count ? at : Lanes<float>::all_int(job_.map.count - 1);
  }

  FloatPack start_value, start_cost;
  FlagPack start, odd;
  Step steps[M ? M : kMostClimbed];
  int count = 0;

 private:
  // Least cost, then largest value, then smallest index.
  BIDFCL_HD void begin() {
    start = FlagPack{};
    start_value = value_[0];
    start_cost = cost_[0];
#pragma GCC unroll 10
    for (int j = 1; j < items_; ++j) {
      const FlagPack better = (cost_[j] < start_cost) | ((cost_[j] == start_cost) & (value_[j] > start_value));
      start = better ? Lanes<float>::all_int(j) : start;
      start_value = better ? value_[j] : start_value;
      start_cost = better ? cost_[j] : start_cost;
    }
  }

  const ClimbJob& job_;
  int items_;
  FloatPack value_[M ? M : kMostClimbed], cost_[M ? M : kMostClimbed];
};

template <int M, bool Sure, class Cell>
void chart_packs(const ChartJob& job, std::int64_t begin, std::int64_t end, ChartCell* cells, ChartTotals& out) {
  constexpr int W = Lanes<float>::count;
  Climb<M, Sure> climb(job.climb);
  const FloatPack factor = Lanes<float>::all(job.factor);
  FlagPack odd{};
  for (std::int64_t next = begin; next < end; next += W) {
    const std::int64_t at = std::min(next, end - W);
    const FlagPack fresh = lanes_from(next - at);
    climb.template load<Cell>(at);
    climb.run();
    odd -= climb.odd & fresh;
    FloatPack before = climb.start_cost;
    const FlagPack base = __builtin_convertvector(before * factor, FlagPack) & fresh;
    for (int l = 0; l < W; ++l) out.cost += base[l];
    for (int e = 0; e < climb.count; ++e) {
      const auto& step = climb.steps[e];
      std::int32_t bucket[W], cost[W];
      const FlagPack at_bucket = climb.bucket(step.slope);
      const FlagPack dearer = __builtin_convertvector((step.cost - before) * factor, FlagPack);
      std::memcpy(bucket, &at_bucket, sizeof bucket);
      std::memcpy(cost, &dearer, sizeof cost);
      for (unsigned each = bits_of(step.taken & fresh); each != 0; each &= each - 1) {
        const int l = __builtin_ctz(each);
        cells[bucket[l]].cost += cost[l];
        ++cells[bucket[l]].edges;
      }
      before = step.cost;
    }
  }
  for (int l = 0; l < W; ++l) out.odd += odd[l];
}

// The differences of two packs, as whole numbers.
BIDFCL_HD void whole_differences(const FloatPack& from, const FloatPack& to, double factor, std::int64_t* out) {
  typedef double Doubles __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  typedef std::int64_t Integers __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  Doubles from_low, from_high, to_low, to_high;
  widen(from, from_low, from_high);
  widen(to, to_low, to_high);
  const Integers low = __builtin_convertvector((to_low - from_low) * factor, Integers);
  const Integers high = __builtin_convertvector((to_high - from_high) * factor, Integers);
  std::memcpy(out, &low, sizeof low);
  std::memcpy(out + Lanes<float>::count / 2, &high, sizeof high);
}

BIDFCL_HD void store_choice(std::int32_t* to, const FlagPack& choice, bool past_cache) {
#if defined(__AVX512F__)
  if (past_cache) return _mm512_stream_si512(reinterpret_cast<__m512i*>(to), reinterpret_cast<__m512i>(choice));
#elif defined(__AVX2__)
  if (past_cache) return _mm256_stream_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(choice));
#else
  (void)past_cache;
#endif
  std::memcpy(to, &choice, sizeof choice);
}

template <int M, class Cell>
void stairs_packs(const StairsJob& job, std::int64_t begin, std::int64_t end, StairsRun& run) {
  constexpr int W = Lanes<float>::count;
  Climb<M, true> climb(job.climb);
  auto* move = static_cast<std::int32_t*>(run.moves);  // [zones + 1, W]: where a lane goes as a zone begins, or −1
  std::fill_n(move, (job.zones + 1) * W, -1);
  for (std::int64_t next = begin; next < end; next += W) {
    const std::int64_t at = std::min(next, end - W);
    const FlagPack fresh = lanes_from(next - at);
    climb.template load<Cell>(at);
    climb.run();
    const FlagPack odd = fresh & (climb.odd | ~climb.whole(job.least_value, job.least_cost));
    const unsigned sure = bits_of(fresh & ~odd);
    for (unsigned each = bits_of(odd); each != 0; each &= each - 1)
      run.odd[run.odd_count++] = static_cast<std::int32_t>(at + __builtin_ctz(each));
    FloatPack value = climb.start_value, cost = climb.start_cost;
    std::int64_t more_value[W], more_cost[W];
    whole_differences(FloatPack{}, value, job.value_factor, more_value);
    whole_differences(FloatPack{}, cost, job.cost_factor, more_cost);
    for (unsigned each = sure; each != 0; each &= each - 1) {
      const int l = __builtin_ctz(each);
      run.value[job.zones + 1] += more_value[l];
      run.cost[job.zones + 1] += more_cost[l];
    }
    FlagPack from = climb.start;
    for (int e = 0; e < climb.count; ++e) {
      const auto& step = climb.steps[e];
      const FlagPack found = looked_up(job.place, climb.bucket(step.slope));
      std::int32_t zone[W], stop[W];
      const FlagPack place = found & (kInZone - 1);
      std::memcpy(zone, &place, sizeof zone);
      std::memcpy(stop, &step.stop, sizeof stop);
      whole_differences(value, step.value, job.value_factor, more_value);
      whole_differences(cost, step.cost, job.cost_factor, more_cost);
      const unsigned taken = bits_of(step.taken);
      for (unsigned each = taken & sure; each != 0; each &= each - 1) {
        const int l = __builtin_ctz(each);
        run.value[zone[l]] += more_value[l];
        run.cost[zone[l]] += more_cost[l];
        move[zone[l] * W + l] = stop[l];
      }
      for (unsigned each = taken & ~sure; each != 0; each &= each - 1) {
        const int l = __builtin_ctz(each);
        move[zone[l] * W + l] = stop[l];
      }
      for (unsigned each = taken & sure & bits_of((found & kInZone) != 0); each != 0; each &= each - 1) {
        const int l = __builtin_ctz(each);
        run.edges[run.edge_count++] = {static_cast<std::int32_t>(at + l), zone[l] - 1, e, from[l], stop[l]};
      }
      from = step.stop;
      value = step.value;
      cost = step.cost;
    }
    FlagPack choice = climb.start;
    const bool past_cache = job.past_cache && at == next;
    for (int z = 0; z < job.zones; ++z) {
      FlagPack to;
      std::memcpy(&to, move + z * W, sizeof to);
      choice = to < 0 ? choice : to;
      to = Lanes<float>::all_int(-1);
      std::memcpy(move + z * W, &to, sizeof to);
      for (std::int32_t k = job.first[z]; k < job.first[z + 1]; ++k)
        store_choice(job.choice[k] + at, choice, past_cache);
    }
  }
}

// `body` for the number of treatments and the type of cell at hand. Halves, which fewer ask for, have one loop for all.
template <class Body>
BIDFCL_HD void for_shape(const InstanceView<float>& in, const Body& body) {
  const auto any = std::integral_constant<int, 0>();
  if (in.storage == Stored::kFloat16) return body(any, Float16{});
  if (in.storage == Stored::kBFloat16) return body(any, BFloat16{});
  switch (in.items) {
    case 5:
      return body(std::integral_constant<int, 5>(), 0.0f);
    case 8:
      return body(std::integral_constant<int, 8>(), 0.0f);
    case 10:
      return body(std::integral_constant<int, 10>(), 0.0f);
    default:
      return body(any, 0.0f);
  }
}

inline void chart(const ChartJob& job, std::int64_t begin, std::int64_t end, ChartCell* cells, ChartTotals& out) {
  for_shape(job.climb.instance, [&](auto items, auto cell) {
    using Cell = decltype(cell);
    if (job.find_odd) chart_packs<0, true, Cell>(job, begin, end, cells, out);  // a sample
    else chart_packs<decltype(items)::value, false, Cell>(job, begin, end, cells, out);
  });
}

inline void stairs(const StairsJob& job, std::int64_t begin, std::int64_t end, StairsRun& run) {
  for_shape(job.climb.instance,
            [&](auto items, auto cell) { stairs_packs<decltype(items)::value, decltype(cell)>(job, begin, end, run); });
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
