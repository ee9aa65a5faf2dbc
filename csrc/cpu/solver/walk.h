// The walk: hull edges of a list of users, a lane a user. Included by kernels.cpp alone.
#pragma once

#include <algorithm>

#include "../machine/columns.h"
#include "../machine/exact_sum.h"
#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Slopes in single precision carry five roundings; further apart than this they are in their exact order.
constexpr float kRoughly = 1.0f / (1 << 20);

// One pack of users at a time, their treatments in columns.
template <class T>
class Walk {
 public:
  typedef double Doubles __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  typedef std::int64_t Integers __attribute__((vector_size(BIDFCL_PACK_BYTES)));
  typedef float Floats __attribute__((vector_size(BIDFCL_PACK_BYTES / 2)));
  typedef std::int32_t Flags __attribute__((vector_size(BIDFCL_PACK_BYTES / 2)));
  static constexpr int W = BIDFCL_PACK_BYTES / 8;

  BIDFCL_HD Walk(const WalkJob<T>& job, WalkRun& run)
      : job_(job), run_(run), value_(static_cast<Integers*>(run.scratch)) {}

  // Users first .. first + users − 1 of the list; idle lanes repeat the first of them.
  BIDFCL_HD std::int64_t take(const Open* list, std::int64_t first, int users, Edge* edges) {
    std::int32_t user[W];
    std::int64_t start[W];
    for (int l = 0; l < W; ++l) {
      const Open& open = list[first + (l < users ? l : 0)];
      user[l] = open.user;
      start[l] = open.at;
    }
    const Integers put_off = load(user);
    Integers at;
    std::memcpy(&at, start, sizeof at);
    if (bits_of(at < 0) != 0) at = at < 0 ? cheapest() : at;
    Integers live = lanes_below(users);
    if (bits_of(live & (at < 0) & ~put_off) != 0) run_.closed_user = true;
    live &= ~put_off & (at >= 0);

    Integers value_at{}, cost_at{};
    for (int j = 0; j < items_; ++j) {
      value_at = at == j ? value_[j] : value_at;
      cost_at = at == j ? cost_[j] : cost_at;
    }
    // Where each lane stands as the bracket begins.
    const Integers present = live;
    Integers at_begin = put_off ? Integers{} + kPutOff : at, value_begin{}, cost_begin{};
    Integers waiting = live;  // lanes that are not there yet
    const Doubles high = Doubles{} + job_.high, low = Doubles{} + job_.low;
    Edge* out = edges;
    for (std::int32_t position = 0; bits_of(live) != 0; ++position) {
      Integers stop, value_stop, cost_stop;
      const Integers more = live & steepest_step(live, value_at, cost_at, stop, value_stop, cost_stop);
      const Integers value_step = value_stop - value_at, cost_step = cost_stop - cost_at;
      const Doubles slope = __builtin_convertvector(value_step, Doubles) / __builtin_convertvector(cost_step, Doubles);

      const Integers before = more & (slope > high) & waiting;
      const Integers arrived = waiting & ~before;
      at_begin = arrived ? at : at_begin;
      value_begin = arrived ? value_at : value_begin;
      cost_begin = arrived ? cost_at : cost_begin;
      waiting = before;
      const Integers listed = more & ~before & (slope >= low);
      unsigned each = bits_of(listed);
      if (each != 0) {
        double slopes[W];
        std::int64_t value[W], cost[W], from[W], to[W];
        std::memcpy(slopes, &slope, sizeof slope);
        std::memcpy(value, &value_step, sizeof value);
        std::memcpy(cost, &cost_step, sizeof cost);
        std::memcpy(from, &at, sizeof from);
        std::memcpy(to, &stop, sizeof to);
        for (; each != 0; each &= each - 1) {
          const int l = __builtin_ctz(each);
          *out++ = {slopes[l],
                    value[l],
                    cost[l],
                    user[l],
                    position,
                    static_cast<std::int32_t>(from[l]),
                    static_cast<std::int32_t>(to[l])};
        }
      }
      live = before | listed;
      at = stop;
      value_at = value_stop;
      cost_at = cost_stop;
    }
    std::int64_t begin[W];
    std::memcpy(begin, &at_begin, sizeof begin);
    for (int l = 0; l < users; ++l) run_.at[first + l] = static_cast<std::int32_t>(begin[l]);
    value_sum_.add(value_begin & present);
    cost_sum_.add(cost_begin & present);
    return out - edges;
  }

  void finish() const {
    run_.before.value += value_sum_.total();
    run_.before.cost += cost_sum_.total();
  }

 private:
  static BIDFCL_HD Integers lanes_below(int users) {
    Integers out{};
    for (int l = 0; l < users; ++l) out[l] = -1;
    return out;
  }

  // Every lane's row in fixed point; returns the lanes that are to be put off.
  BIDFCL_HD Integers load(const std::int32_t* user) {
    const InstanceView<T>& in = job_.instance;
    items_ = in.items;
    int shortest = in.items;
    if (in.offsets != nullptr) {
      items_ = 0;
      for (int l = 0; l < W; ++l) {
        items_ = std::max(items_, in.items_of(user[l]));
        shortest = std::min(shortest, in.items_of(user[l]));
      }
    }
    cost_ = value_ + items_;
    slope_ = reinterpret_cast<Floats*>(cost_ + items_);
    Doubles* value = reinterpret_cast<Doubles*>(value_);
    Doubles* cost = reinterpret_cast<Doubles*>(cost_);
    const bool none_closed = in.open == nullptr && shortest == items_;
    if (none_closed && in.is_plain() && items_ >= kQuad) {
      load_columns_of([&](int l) { return static_cast<const T*>(in.row(user[l]).value); }, value);
      load_columns_of([&](int l) { return static_cast<const T*>(in.row(user[l]).cost); }, cost);
    } else if (none_closed && in.is_side_by_side() && in.offsets == nullptr && items_ >= kQuad) {
      float* row = reinterpret_cast<float*>(slope_ + 2 * items_);  // beyond the slopes
      widen_rows(in, in.value, in.value_row, user, row);
      load_columns_of([&](int l) { return row + l * items_; }, value);
      widen_rows(in, in.cost, in.cost_row, user, row);
      load_columns_of([&](int l) { return row + l * items_; }, cost);
    } else {
      for (int l = 0; l < W; ++l) {
        const RowView<T> row = in.row(user[l]);
        for (int j = 0; j < items_; ++j) {
          const bool open = row.has(j);  // what stands in a closed cell may not even be a number
          value[j][l] = open ? static_cast<double>(row.value_at(j)) : 0.0;
          cost[j][l] = open ? static_cast<double>(row.cost_at(j)) : 0.0;
        }
      }
    }
    Integers broken{};
    if (job_.whole.use) {
      const Doubles least_value = Doubles{} + job_.whole.least_value, least_cost = Doubles{} + job_.whole.least_cost;
      for (int j = 0; j < items_; ++j) {
        broken |= ~((magnitude(value[j]) >= least_value) | (value[j] == 0));
        broken |= ~((magnitude(cost[j]) >= least_cost) | (cost[j] == 0));
      }
    }
    for (int j = 0; j < items_; ++j) {
      value_[j] = quantised(value[j], job_.value_scale);
      cost_[j] = quantised(cost[j], job_.cost_scale);
    }
    if (none_closed) return broken;
    for (int l = 0; l < W; ++l) {
      const RowView<T> row = in.row(user[l]);
      for (int j = 0; j < items_; ++j) {
        if (row.has(j)) continue;
        value_[j][l] = -kClosed;
        cost_[j][l] = kClosed;
      }
    }
    return broken;
  }

  // Rows of halves as floats, one after the other.
  BIDFCL_HD void widen_rows(const InstanceView<T>& in, const void* cells, std::int64_t step, const std::int32_t* user,
                            float* out) const {
    const auto* halves = static_cast<const std::uint16_t*>(cells);
    for (int l = 0; l < W; ++l, out += items_) {
      const std::uint16_t* row = halves + user[l] * step;
      for (int done = 0; done < items_; done += kQuad) {
        const int first = done + kQuad <= items_ ? done : items_ - kQuad;
        if (in.storage == Stored::kFloat16) widen_four<Float16>(row + first, out + first);
        else widen_four<BFloat16>(row + first, out + first);
      }
    }
  }

  // Treatments side by side: four at a time, transposed in registers; the last step reaches back over some seen before.
  static constexpr int kQuad = 4;
  template <class Row>
  BIDFCL_HD void load_columns_of(const Row& row, Doubles* column) const {
    for (int done = 0; done < items_; done += kQuad) {
      const int first = done + kQuad <= items_ ? done : items_ - kQuad;
      load_four_columns([&](int l) { return row(l) + first; }, column + first);
    }
  }

  // Least cost, then largest value, then smallest index; −1 where nothing is open.
  BIDFCL_HD Integers cheapest() const {
    Integers at{}, value = value_[0], cost = cost_[0];
    for (int j = 1; j < items_; ++j) {
      const Integers better = (cost_[j] < cost) | ((cost_[j] == cost) & (value_[j] > value));
      at = better ? Integers{} + j : at;
      value = better ? value_[j] : value;
      cost = better ? cost_[j] : cost;
    }
    return cost == kClosed ? Integers{} - 1 : at;
  }

  // For every live lane the step from where it stands to the steepest next vertex; false where the hull ends. Slopes in
  // single precision do, since they are far apart nearly always, and division is what costs most.
  BIDFCL_HD Integers steepest_step(const Integers& live, const Integers& value_at, const Integers& cost_at,
                                   Integers& stop, Integers& value_stop, Integers& cost_stop) {
    Floats steepest{};
    for (int j = 0; j < items_; ++j) {
      const Floats value = __builtin_convertvector(value_[j] - value_at, Floats);
      const Floats cost = __builtin_convertvector(cost_[j] - cost_at, Floats);
      const Floats slope = ((value > 0) & (cost > 0)) ? value / cost : Floats{};
      slope_[j] = slope;
      steepest = slope > steepest ? slope : steepest;
    }
    const Floats contender = steepest * (1 - kRoughly);
    stop = value_stop = cost_stop = Integers{};
    Flags many{};
    for (int j = items_ - 1; j >= 0; --j) {
      const Flags close = slope_[j] >= contender;
      const Integers taken = widen(close);
      many -= close;
      stop = taken ? Integers{} + j : stop;
      value_stop = taken ? value_[j] : value_stop;
      cost_stop = taken ? cost_[j] : cost_stop;
    }
    const Integers more = widen(steepest > 0);
    for (unsigned tied = bits_of(live & more & widen(many > 1)); tied != 0; tied &= tied - 1)
      settle_tie(__builtin_ctz(tied), value_at, cost_at, contender, stop, value_stop, cost_stop);
    return more;
  }

  static BIDFCL_HD Integers widen(Flags flags) {
#if defined(__AVX512F__)
    return reinterpret_cast<Integers>(_mm512_cvtepi32_epi64(reinterpret_cast<__m256i>(flags)));
#else
    return __builtin_convertvector(flags, Integers);
#endif
  }

  // One lane's contenders in exact arithmetic: the steepest, then the cheaper, then the smallest index.
  __attribute__((noinline)) void settle_tie(int l, const Integers& value_at, const Integers& cost_at,
                                            const Floats& contender, Integers& stop, Integers& value_stop,
                                            Integers& cost_stop) const {
    int best = -1;
    std::int64_t best_value = 0, best_cost = 0;
    double best_slope = 0;
    for (int j = 0; j < items_; ++j) {
      if (slope_[j][l] < contender[l]) continue;
      const std::int64_t value = value_[j][l] - value_at[l], cost = cost_[j][l] - cost_at[l];
      const double slope = static_cast<double>(value) / static_cast<double>(cost);
      if (best >= 0) {
        const int order = compare_slopes(slope, value, cost, best_slope, best_value, best_cost);
        if (order < 0 || (order == 0 && cost >= best_cost)) continue;
      }
      best = j;
      best_value = value;
      best_cost = cost;
      best_slope = slope;
    }
    stop[l] = best;
    value_stop[l] = value_[best][l];
    cost_stop[l] = cost_[best][l];
  }

  const WalkJob<T>& job_;
  WalkRun& run_;
  int items_ = 0;  // of the longest row in the pack
  Integers* value_;
  Integers* cost_ = nullptr;
  Floats* slope_ = nullptr;
  LaneSum<Integers> value_sum_, cost_sum_;
};

template <class T>
std::int64_t walk(const WalkJob<T>& job, const Open* users, std::int64_t count, WalkRun& run) {
  Walk<T> walk(job, run);
  constexpr int W = Walk<T>::W;
  std::int64_t edges = 0;
  for (std::int64_t at = 0; at < count; at += W) {
    if (job.scattered)
      for (std::int64_t k = at + kAhead; k < at + kAhead + W && k < count; ++k) prefetch(job.instance, users[k].user);
    edges += walk.take(users, at, static_cast<int>(count - at < W ? count - at : W), run.edges + edges);
  }
  walk.finish();
  return edges;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
