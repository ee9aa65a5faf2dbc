// The core of a proof, searched: the twin of `solve` in bidfcl_fast/_core.py, which says why.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "../../capi.h"
#include "../../core/config.h"
#include "half.h"

namespace bidfcl {

namespace {

constexpr double kRounding = 0x1p-40;
constexpr std::int64_t kNearest = 8;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

int128 whole(const CoreNumber& x) { return (static_cast<int128>(x.high) * (int128{1} << 32)) + x.low; }

CoreNumber parts(int128 x) { return {static_cast<std::int64_t>(x >> 32), static_cast<std::int64_t>(x & 0xffffffff)}; }

int128 floor_divided(int128 x, int128 by) { return x / by - (x % by < 0); }

// The numbers of `options` over their greatest common divisors, and how large their sums can be.
struct Scale {
  std::int64_t value = 0, cost = 0;
  bool fits = true;  // every sum stays within 62 bits

  explicit Scale(const CoreOptions& o) {
    for (std::int64_t k = 0; k < o.rows * o.options; ++k) {
      if (!std::isfinite(o.loss[k])) continue;
      value = std::gcd(value, o.value[k]);
      cost = std::gcd(cost, o.cost[k]);
    }
    value = std::max<std::int64_t>(value, 1);
    cost = std::max<std::int64_t>(cost, 1);
    int128 most_value = 0, most_cost = 0;
    for (std::int64_t g = 0; g < o.rows; ++g) {
      std::int64_t large_value = 0, large_cost = 0;
      for (std::int64_t k = g * o.options; k < (g + 1) * o.options; ++k) {
        if (!std::isfinite(o.loss[k])) continue;
        large_value = std::max(large_value, std::abs(o.value[k] / value));
        large_cost = std::max(large_cost, std::abs(o.cost[k] / cost));
      }
      most_value += static_cast<int128>(large_value) * o.copies[g];
      most_cost += static_cast<int128>(large_cost) * o.copies[g];
    }
    fits = std::max(most_value, most_cost) < (int128{1} << 62);
  }
};

// What all looks at one core share.
template <class Num>
struct Core {
  std::vector<CoreRow<Num>> rows;  // by falling doubt
  std::vector<double> second;      // the least loss of each off its base, rising
  Num room, wider;
  double most, unit;
  std::int64_t longest, most_named;
  std::chrono::steady_clock::time_point start;
  double seconds;

  bool late() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds;
  }
};

// One look at all plans whose losses stay within a reach.
template <class Num>
class Search {
 public:
  Search(const Core<Num>& core, Half<Num>& a, Half<Num>& b, double reach) : core_(core), reach_(reach), a_(a), b_(b) {
    a_.clear();
    b_.clear();
  }

  // False if given up: too many entries, or too late.
  bool run(double gap, const Num* known, double own) {
    gap_ = gap;
    own_ = own;
    std::int64_t meeting = kFirstMeeting;
    for (std::size_t r = 0; r < core_.rows.size() && core_.second[r] <= reach_ * (1 + kRounding); ++r) {
      Half<Num>& half = b_.size() < a_.size() ? b_ : a_;
      const std::int64_t choices = core_.rows[r].choices() + 1;
      if (choices > core_.longest / std::max<std::int64_t>(1, half.size()) ||
          half.named() + half.size() * choices > core_.most_named || core_.late()) {
        look(known);
        return false;
      }
      half.extend(core_.rows[r], allowed());
      half.settle(allowed());
      const std::int64_t longer = std::max(a_.size(), b_.size());
      if (longer >= meeting) {
        look(known);
        if (conclusive_) return true;
        meeting = std::max(kFirstMeeting, 4 * std::max(a_.size(), b_.size()));
      }
    }
    look(known);
    return true;
  }

  // What the entries that are left allow in the wider room.
  Num bound(Num best) const {
    if (core_.wider == core_.room) return best;
    const Pair<Num> more = meet(a_, b_, core_.wider, allowed());
    return more.fits ? more.value : best;
  }

  bool found() const { return found_; }
  Num best() const { return best_; }
  double own() const { return own_; }
  double gap() const { return gap_; }
  bool conclusive() const { return conclusive_; }
  std::vector<Taken>& taken() { return taken_; }

 private:
  // Losses that a better plan may have: if the gap is that of a plan of the core, better by a step of value.
  double allowed() const {
    const double step = own_ <= gap_ ? core_.unit : 0.0;
    return std::min(reach_, std::max(0.0, gap_ - step * (1 - kRounding))) * (1 + kRounding);
  }

  void look(const Num* known) {
    const double most = allowed();
    a_.drop(most);
    b_.drop(most);
    const Pair<Num> pair = meet(a_, b_, core_.room, most);
    if (!pair.fits || (found_ && pair.value <= best_) || (known != nullptr && pair.value <= *known)) return;
    found_ = true;
    best_ = pair.value;
    taken_.clear();
    a_.path(pair.a, taken_);
    b_.path(pair.b, taken_);
    const double worth = static_cast<double>(best_) * core_.unit;
    own_ = core_.most - worth + kRounding * std::fabs(worth);
    gap_ = std::min(gap_, own_);
    conclusive_ = own_ < core_.unit * (1 - kRounding);  // a better plan would be better by a step of value
  }

  const Core<Num>& core_;
  double reach_, gap_ = kInfinity, own_ = kInfinity;
  Half<Num>&a_, &b_;
  bool found_ = false, conclusive_ = false;
  Num best_ = 0;
  std::vector<Taken> taken_;
};

template <class Num>
Core<Num> core_of(const CoreOptions& o, const CoreLimits& limits, const Scale& scale) {
  Core<Num> core;
  const std::int64_t m = o.options;
  std::vector<double> second(static_cast<std::size_t>(o.rows), kInfinity);
  for (std::int64_t g = 0; g < o.rows; ++g) {
    double least = kInfinity, base = kInfinity;  // the two least losses of the row
    for (std::int64_t k = g * m; k < (g + 1) * m; ++k) {
      if (o.loss[k] < base) {
        least = base;
        base = o.loss[k];
      } else {
        least = std::min(least, o.loss[k]);
      }
    }
    second[static_cast<std::size_t>(g)] = least;
  }
  std::vector<std::int64_t> order(second.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t x, std::int64_t y) {
    return second[static_cast<std::size_t>(x)] < second[static_cast<std::size_t>(y)];
  });
  for (const std::int64_t g : order) {
    CoreRow<Num> row{g, o.copies[g], {}, {}, {}, {}};
    for (std::int64_t j = 1; j < m; ++j) {
      const std::int64_t k = g * m + j;
      if (!std::isfinite(o.loss[k])) continue;
      row.option.push_back(static_cast<int>(j));
      row.value.push_back(o.value[k] / scale.value);
      row.cost.push_back(o.cost[k] / scale.cost);
      row.loss.push_back(o.loss[k]);
    }
    core.rows.push_back(std::move(row));
    core.second.push_back(second[static_cast<std::size_t>(g)]);
  }
  const auto room = [&](const CoreNumber& x) {
    const int128 most = int128{1} << (sizeof(Num) == 8 ? 62 : 100);
    return static_cast<Num>(std::max(-most, std::min(most, floor_divided(whole(x), scale.cost))));
  };
  core.room = room(limits.room);
  core.wider = room(limits.wider);
  core.most = limits.most;
  core.unit = limits.unit * static_cast<double>(scale.value);
  core.longest = limits.longest;
  core.most_named = limits.most_named;
  core.seconds = limits.seconds;
  core.start = std::chrono::steady_clock::now();
  return core;
}

template <class Num>
CoreFound search(const CoreOptions& options, const CoreLimits& limits, const Scale& scale, std::int64_t* taken) {
  const Core<Num> core = core_of<Num>(options, limits, scale);
  CoreFound out{};
  Half<Num> a, b;
  Num best = 0;
  double gap = limits.gap, own = kInfinity;
  const auto told = [&](Num x) { return parts(static_cast<int128>(x) * scale.value); };
  const auto nearest = std::min<std::size_t>(kNearest, core.rows.size());
  const double near = nearest ? core.second[nearest - 1] : 0.0;
  double reach = std::min(gap, std::max(4.0 * near, gap * 0x1p-20));
  for (;; reach = std::min(gap, 3 * reach)) {
    Search<Num> one(core, a, b, reach);
    const bool done = one.run(gap, out.found ? &best : nullptr, own);
    if (one.found()) {
      out.found = true;
      best = one.best();
      own = one.own();
      out.value = told(best);
      out.taken = 0;
      for (const Taken& t : one.taken()) {
        std::int64_t* const to = taken + 3 * out.taken++;
        to[0] = t.row;
        to[1] = t.option;
        to[2] = t.times;
      }
    }
    gap = out.gap = std::min(gap, one.gap());
    out.given_up = !one.conclusive() && !done;
    if (one.conclusive() || !done || gap <= reach) {
      out.bounded = out.found && (done || one.conclusive());
      if (out.bounded) out.bound = told(one.conclusive() ? best : std::max(best, one.bound(best)));
      return out;
    }
  }
}

}  // namespace

CoreFound solve_core(const CoreOptions& options, const CoreLimits& limits, std::int64_t* taken) {
  const Scale scale(options);
  return scale.fits ? search<std::int64_t>(options, limits, scale, taken)
                    : search<int128>(options, limits, scale, taken);
}

}  // namespace bidfcl
