// Decisions at given multipliers: one pass, no search. And the users whose decision is contested, by a margin.
//
// The kernel decides in the row's own type where that leaves no doubt; the few others are decided in integers.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "../../capi.h"
#include "../../core/bracket.h"
#include "../../core/threshold.h"
#include "../../status.h"
#include "../machine/for_rows.h"
#include "../solver/problems.h"
#include "../solver/survey.h"
#include "decide.h"

namespace bidfcl {

namespace {

// A margin of doubt in the row's type: what fixed point rounds away, and `margin`.
template <class T>
DecideJob<T> job_at(const InstanceView<T>& instance, double multiplier, double margin, const FixedPoint& value_scale,
                    const FixedPoint& cost_scale, std::int32_t* choice) {
  return {instance,
          static_cast<T>(multiplier),
          decision_doubt<T>(multiplier, margin, value_scale, cost_scale),
          value_scale,
          cost_scale,
          choice};
}

// A total in units of 2^-from, in units of 2^-to.
int128 rescaled(int128 total, int from, int to) {
  if (total == 0 || from == to) return total;
  if (from < to) return total * (int128{1} << (to - from));
  return from - to < 127 ? total >> (from - to) : 0;
}

// One instance at several multipliers.
template <class T>
class Decider {
 public:
  Decider(const InstanceView<T>& instance, const double* multiplier, std::int64_t count, std::int32_t* const* choice,
          int threads)
      : instance_(instance),
        multiplier_(multiplier),
        choice_(choice),
        count_(static_cast<std::size_t>(count)),
        threads_(threads) {}

  void run() {
    totals_.assign(count_, {});
    rows_read_ = 0;
    // A double's digits leave no room below its unit: it is rounded, and must know the scale first.
    if (sizeof(T) != 4 || !pass(true)) {
      largest_ = largest_of(instance_, threads_);
      rows_read_ += instance_.users;
      if (largest_.finite) pass(false);
    }
  }

  void report(std::size_t k, const Plans& out, std::int64_t b) const {
    const double nothing = std::nan("");
    out.multiplier[b] = multiplier_[k];
    out.value[b] = out.spend[b] = out.dual_bound[b] = out.gap[b] = out.least_budget[b] = nothing;
    const FixedPoint value_scale = FixedPoint::for_largest(largest_.value);
    const FixedPoint cost_scale = FixedPoint::for_largest(largest_.cost);
    out.value_unit[b] = out.cost_unit[b] = nothing;
    out.rows_read[b] = rows_read_;
    out.sweeps[b] = largest_.finite;
    out.active[b] = largest_.finite ? totals_[k].exactly : 0;
    out.status[b] = !largest_.finite ? kNotFinite : closed_ ? kNoOpenTreatment : kSolved;
    if (largest_.finite) {
      out.value_unit[b] = largest_.value > 0 ? value_scale.nearest(1) : 0;
      out.cost_unit[b] = largest_.cost > 0 ? cost_scale.nearest(1) : 0;
    }
    if (out.status[b] != kSolved) {
      std::fill(choice_[k], choice_[k] + instance_.users, -1);
      return;
    }
    out.value[b] = value_scale.nearest(totals_[k].value);
    out.spend[b] = cost_scale.nearest(totals_[k].cost);
    out.dual_bound[b] = value_scale.above(totals_[k].value);
    out.gap[b] = 0;
  }

 private:
  struct Total {
    int128 value = 0, cost = 0;
    std::int64_t exactly = 0;  // users too close to call in floating point
  };
  struct Part {
    Seen seen;
    std::vector<Total> totals;
    bool closed = false;
  };

  // `scanning`: each block is scanned before it is swept, while it is in cache, and added up in units of what its chunk
  // has shown so far. If all numbers turn out to be whole units of the whole instance, nothing was rounded, and only
  // the units change. False if not.
  bool pass(bool scanning) {
    const DecideKernels<T>& kernels = decide_kernels<T>();
    const auto chunks = static_cast<std::size_t>(parts_of(instance_.users));
    std::vector<Part> parts(chunks);
    for_chunks(instance_.users, users_at_a_time(), threads_, [&](std::int64_t c, std::int64_t begin, std::int64_t end) {
      Part& part = parts[static_cast<std::size_t>(c)];
      part.totals.resize(count_);
      if (!scanning) part.seen.largest = largest_;
      const Largest& largest = part.seen.largest;
      const std::int64_t block = scanning || count_ > 1 ? kBlock : end - begin;
      const std::unique_ptr<std::int32_t[]> found(
          new std::int32_t[static_cast<std::size_t>(std::min(block, end - begin))]);
      std::vector<std::int64_t> numbers(2 * static_cast<std::size_t>(instance_.items));
      std::vector<double> slopes(static_cast<std::size_t>(instance_.items));
      FixedRow row{numbers.data(), numbers.data() + instance_.items, slopes.data(), instance_.items};
      for (std::int64_t at = begin; at < end; at += block) {
        const std::int64_t stop = std::min(end, at + block);
        if (scanning) {
          const Largest before = largest;
          part.seen.join(kernels.look(instance_, at, stop));
          if (!largest.finite) return;
          move(part.totals, before, largest);
        }
        const FixedPoint value_scale = FixedPoint::for_largest(largest.value);
        const FixedPoint cost_scale = FixedPoint::for_largest(largest.cost);
        for (std::size_t k = 0; k < count_; ++k) {
          Total& total = part.totals[k];
          Totals settled;
          const DecideJob<T> job = job_at(instance_, multiplier_[k], 0, value_scale, cost_scale, choice_[k]);
          const std::int64_t open = kernels.decide(job, at, stop, settled, found.get());
          total.value += settled.value;
          total.cost += settled.cost;
          total.exactly += open;
          const Threshold threshold = Threshold::of(multiplier_[k], value_scale, cost_scale);
          for (std::int64_t n = 0; n < open; ++n) {
            const std::int32_t user = found[static_cast<std::size_t>(n)];
            quantise(instance_.row(user), value_scale, cost_scale, row);
            const int first = cheapest(row);
            if (first < 0) {
              part.closed = true;
              continue;
            }
            const int chosen = after_steeper(row, first, threshold);
            choice_[k][user] = chosen;
            total.value += row.value[chosen];
            total.cost += row.cost[chosen];
          }
        }
      }
    });
    rows_read_ += instance_.users;

    if (scanning) {
      Seen all;
      for (const Part& part : parts) all.join(part.seen);
      largest_ = all.largest;
      if (!largest_.finite) return true;  // nothing to decide
      if (!is_whole<T>(all.least_value, FixedPoint::for_largest(largest_.value)) ||
          !is_whole<T>(largest_.least_cost, FixedPoint::for_largest(largest_.cost)))
        return false;
    }
    closed_ = false;
    totals_.assign(count_, {});
    for (Part& part : parts) {
      move(part.totals, part.seen.largest, largest_);
      closed_ |= part.closed;
      for (std::size_t k = 0; k < count_; ++k) {
        totals_[k].value += part.totals[k].value;
        totals_[k].cost += part.totals[k].cost;
        totals_[k].exactly += part.totals[k].exactly;
      }
    }
    return true;
  }

  // From the units of one largest magnitude to those of another.
  static void move(std::vector<Total>& totals, const Largest& from, const Largest& to) {
    const int value_from = FixedPoint::for_largest(from.value).shift,
              value_to = FixedPoint::for_largest(to.value).shift;
    const int cost_from = FixedPoint::for_largest(from.cost).shift, cost_to = FixedPoint::for_largest(to.cost).shift;
    if (value_from == value_to && cost_from == cost_to) return;
    for (Total& total : totals) {
      total.value = rescaled(total.value, value_from, value_to);
      total.cost = rescaled(total.cost, cost_from, cost_to);
    }
  }

  InstanceView<T> instance_;
  const double* multiplier_;
  std::int32_t* const* choice_;
  std::size_t count_;
  int threads_;
  Largest largest_;
  bool closed_ = false;
  std::vector<Total> totals_;
  std::int64_t rows_read_ = 0;
};

template <class T>
void decide_all(const Problems& p, const double* multiplier, int threads, const Plans& out) {
  const std::int64_t rows = most_users(p);
  if (p.count * rows * p.items < kWorthThreads) threads = 1;
  const auto choice = [&](std::int64_t b) { return out.choice + b * out.choice_stride + p.start[b]; };
  if (p.count > 1 && is_one_instance(p)) {
    std::vector<std::int32_t*> choices;
    for (std::int64_t b = 0; b < p.count; ++b) choices.push_back(choice(b));
    Decider<T> decider(instance_of<T>(p, 0), multiplier, p.count, choices.data(), threads);
    decider.run();
    for (std::int64_t b = 0; b < p.count; ++b) decider.report(static_cast<std::size_t>(b), out, b);
    return;
  }
  const bool wide = p.count > 1 && (rows <= 65536 || p.count >= 8 * threads);
  const std::int64_t grain = std::max<std::int64_t>(1, std::min<std::int64_t>(16, p.count / (4 * threads)));
  for_chunks(p.count, grain, wide ? threads : 1, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      std::int32_t* const one = choice(b);
      Decider<T> decider(instance_of<T>(p, b), multiplier + b, 1, &one, wide ? 1 : threads);
      decider.run();
      decider.report(0, out, b);
    }
  });
}

// Users begin .. end − 1 as an instance of their own.
template <class T>
InstanceView<T> part_of(InstanceView<T> all, std::int64_t begin, std::int64_t end) {
  all.users = end - begin;
  if (all.offsets != nullptr) {
    all.offsets += begin;
    return all;
  }
  all.value = cell_address<T>(all.value, begin * all.value_row, all.storage);
  all.cost = cell_address<T>(all.cost, begin * all.cost_row, all.storage);
  if (all.open != nullptr) all.open += begin * all.open_row;
  return all;
}

// Where two choices differ, by blocks: they seldom do.
template <class Found>
void each_difference(const std::int32_t* a, const std::int32_t* b, std::int64_t count, const Found& found) {
  constexpr std::int64_t kTogether = 64;
  for (std::int64_t at = 0; at < count; at += kTogether) {
    const std::int64_t end = std::min(count, at + kTogether);
    std::int32_t bits = 0;
    for (std::int64_t i = at; i < end; ++i) bits |= a[i] ^ b[i];
    if (bits == 0) continue;
    for (std::int64_t i = at; i < end; ++i)
      if (a[i] != b[i]) found(i);
  }
}

template <class T>
ContestedCount contested_users(const Problems& p, const std::int32_t* plan, double multiplier, double margin,
                               double value_unit, double cost_unit, int threads, const ContestedUsers& out) {
  const InstanceView<T> instance = instance_of<T>(p, 0);
  if (instance.users * instance.items < kWorthThreads) threads = 1;
  // Units of 2^-61 of the largest: any scale with these units serves the sweep, whose sums are not wanted.
  const FixedPoint value_scale = FixedPoint::for_largest(std::ldexp(value_unit, kFixedPointBits - 1));
  const FixedPoint cost_scale = FixedPoint::for_largest(std::ldexp(cost_unit, kFixedPointBits - 1));
  const auto chunks = static_cast<std::size_t>(parts_of(instance.users));
  struct Part {
    std::vector<std::int32_t> users, others, best;
    Totals settled;
  };
  std::vector<Part> parts(chunks);
  for_chunks(instance.users, users_at_a_time(), threads, [&](std::int64_t c, std::int64_t begin, std::int64_t end) {
    const std::unique_ptr<std::int32_t[]> room(new std::int32_t[2 * static_cast<std::size_t>(end - begin)]);
    std::int32_t *choice = room.get(), *open = choice + (end - begin);
    Part& part = parts[static_cast<std::size_t>(c)];
    const DecideJob<T> job = job_at(part_of(instance, begin, end), multiplier, margin, value_scale, cost_scale, choice);
    const std::int64_t count = decide_kernels<T>().decide(job, 0, end - begin, part.settled, open);
    for (std::int64_t n = 0; n < count; ++n) {
      choice[open[n]] = plan[begin + open[n]];
      part.users.push_back(static_cast<std::int32_t>(begin) + open[n]);
    }
    each_difference(choice, plan + begin, end - begin, [&](std::int64_t i) {
      part.others.push_back(static_cast<std::int32_t>(begin + i));
      part.best.push_back(choice[i]);
    });
  });
  ContestedCount count{};
  Totals settled;
  for (const Part& part : parts) {
    std::copy(part.users.begin(), part.users.end(), out.users + count.users);
    std::copy(part.others.begin(), part.others.end(), out.others + count.others);
    std::copy(part.best.begin(), part.best.end(), out.best + count.others);
    count.users += static_cast<std::int64_t>(part.users.size());
    count.others += static_cast<std::int64_t>(part.others.size());
    settled.value += part.settled.value;
    settled.cost += part.settled.cost;
  }
  std::int64_t* totals = out.totals;
  for (const int128 total : {settled.value, settled.cost}) {
    *totals++ = static_cast<std::int64_t>(total >> 32);
    *totals++ = static_cast<std::int64_t>(total & 0xffffffff);
  }
  return count;
}

}  // namespace

void decide(const Problems& problems, const double* multiplier, int threads, const Plans& plans) {
  if (problems.dtype == kFloat32) decide_all<float>(problems, multiplier, threads, plans);
  else decide_all<double>(problems, multiplier, threads, plans);
}

ContestedCount contested(const Problems& p, const std::int32_t* plan, double multiplier, double margin,
                         double value_unit, double cost_unit, int threads, const ContestedUsers& out) {
  const auto find = p.dtype == kFloat32 ? contested_users<float> : contested_users<double>;
  return find(p, plan, multiplier, margin, value_unit, cost_unit, threads, out);
}

}  // namespace bidfcl
