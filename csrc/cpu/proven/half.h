// Partial plans over some rows of a core, and the best pair of two such lists: the twin of bidfcl_fast/_core.py.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "../../core/config.h"

namespace bidfcl {

struct Taken {
  std::int64_t row, option, times;
};

// One row: what its options add to a partial plan. `Num` holds every sum that can arise.
template <class Num>
struct CoreRow {
  std::int64_t row;
  std::int64_t copies;  // beyond 1, there is one option besides the base, to be taken any number of times
  std::vector<int> option;
  std::vector<Num> value, cost;
  std::vector<double> loss;

  std::int64_t choices() const { return std::max(copies, static_cast<std::int64_t>(option.size())); }
};

template <class Num>
class Half {
 public:
  struct Entry {
    Num cost, value;
    std::int32_t name;  // where it stands in the log; 0 takes nothing
  };

  // What settling needs; several halves may share it.
  struct Key {
    Num cost;
    std::int32_t place;
  };
  struct Scratch {
    std::vector<Entry> list;
    std::vector<double> loss;
    std::vector<Key> keys;
  };

  Half() { clear(); }

  // Back to the one plan that takes nothing; what memory there is stays.
  void clear() {
    list_.assign(1, {0, 0, 0});
    loss_.assign(1, 0.0);
    settle_all();
    log_.clear();
    starts_.assign(1, 1);
    steps_.clear();
  }

  std::int64_t size() const { return static_cast<std::int64_t>(list_.size()); }
  std::int64_t named() const { return static_cast<std::int64_t>(log_.size()) + 1; }
  const std::vector<Entry>& list() const { return list_; }

  // Besides every entry, the same with each other choice of the row. From row to row the least loss must not fall, nor
  // `allowed` rise: what is too far off for this row is so for all that follow.
  void extend(const CoreRow<Num>& row, double allowed) {
    const bool alike = row.copies > 1 && !row.option.empty();
    if (!row.option.empty()) {
      const double least = *std::min_element(row.loss.begin(), row.loss.end());
      std::size_t live = 0;
      for (const std::int32_t k : live_) {
        live_[live] = k;
        live += loss_[static_cast<std::size_t>(k)] + least <= allowed;
      }
      live_.resize(live);
      if (alike) {
        for (std::int64_t n = 1; n <= row.copies; ++n)
          add(live, row.cost[0] * n, row.value[0] * n, row.loss[0] * static_cast<double>(n), allowed,
              static_cast<std::int32_t>(n));
      } else {
        for (std::size_t k = 0; k < row.option.size(); ++k)
          add(live, row.cost[k], row.value[k], row.loss[k], allowed, row.option[k]);
      }
    }
    steps_.push_back({row.row, alike ? row.option[0] : -1});
    starts_.push_back(named());
  }

  // In rising cost, only what is allowed, and of that only what is worth more than all that costs no more.
  void settle(double allowed, Scratch& scratch) {
    std::vector<Entry>& merged = scratch.list;
    std::vector<double>& merged_loss = scratch.loss;
    std::vector<Key>& keys = scratch.keys;
    keys.clear();
    for (std::size_t k = settled_; k < list_.size(); ++k)
      if (loss_[k] <= allowed) keys.push_back({list_[k].cost, static_cast<std::int32_t>(k)});
    std::sort(keys.begin(), keys.end(),
              [](const Key& a, const Key& b) { return a.cost != b.cost ? a.cost < b.cost : a.place < b.place; });
    merged.clear();
    merged_loss.clear();
    const auto take = [&](std::size_t k) {
      if (!merged.empty() && list_[k].value <= merged.back().value) return;
      merged.push_back(list_[k]);
      merged_loss.push_back(loss_[k]);
    };
    std::size_t at = 0;
    const auto take_settled = [&](auto before) {
      for (; at < settled_ && before(list_[at].cost); ++at)
        if (loss_[at] <= allowed) take(at);
    };
    for (const Key& key : keys) {
      take_settled([&](Num cost) { return cost <= key.cost; });
      take(static_cast<std::size_t>(key.place));
    }
    take_settled([](Num) { return true; });
    list_.swap(merged);
    loss_.swap(merged_loss);
    settle_all();
  }

  // What an entry takes.
  void path(std::int64_t k, std::vector<Taken>& out) const {
    for (std::int32_t at = list_[static_cast<std::size_t>(k)].name; at > 0;) {
      const Logged& logged = log_[static_cast<std::size_t>(at) - 1];
      const auto step = std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin() - 1;
      const Step& s = steps_[static_cast<std::size_t>(step)];
      if (s.option < 0) out.push_back({s.row, logged.what, 1});
      else out.push_back({s.row, s.option, logged.what});
      at = logged.parent;
    }
  }

 private:
  struct Logged {
    std::int32_t parent, what;  // the option taken; of users alike, how many
  };
  struct Step {
    std::int64_t row;
    int option;  // of users alike, else −1
  };

  void settle_all() {
    settled_ = list_.size();
    live_.resize(settled_);
    std::iota(live_.begin(), live_.end(), 0);
  }

  // To the first `count` live entries, one more choice.
  void add(std::size_t count, Num cost, Num value, double loss, double allowed, std::int32_t what) {
    for (std::size_t n = 0; n < count; ++n) {
      const auto k = static_cast<std::size_t>(live_[n]);
      const double sum = loss_[k] + loss;
      if (!(sum <= allowed)) continue;
      const Entry e = list_[k];
      live_.push_back(static_cast<std::int32_t>(list_.size()));
      log_.push_back({e.name, what});
      list_.push_back({e.cost + cost, e.value + value, static_cast<std::int32_t>(log_.size())});
      loss_.push_back(sum);
    }
  }

  std::vector<Entry> list_;
  std::vector<double> loss_;        // of each entry
  std::vector<std::int32_t> live_;  // places of those that one more choice may be added to
  std::size_t settled_;             // so many of them are in order
  std::vector<Logged> log_;
  std::vector<std::int64_t> starts_;  // the first name of each step
  std::vector<Step> steps_;
};

template <class Num>
struct Pair {
  bool fits = false;
  Num value = 0;
  std::int64_t a = 0, b = 0;
};

// The most valuable pair of entries within the room; of several, the one whose first entry is cheapest.
template <class Num>
Pair<Num> meet(const Half<Num>& first, const Half<Num>& second, Num room) {
  Pair<Num> best;
  const auto& b = second.list();
  std::int64_t fits = std::int64_t(b.size());
  for (std::int64_t k = 0; k < first.size(); ++k) {
    const auto& e = first.list()[std::size_t(k)];
    while (fits > 0 && b[std::size_t(fits - 1)].cost > room - e.cost) --fits;
    if (fits == 0) break;
    const Num value = e.value + b[std::size_t(fits - 1)].value;
    if (!best.fits || value > best.value) best = {true, value, k, fits - 1};
  }
  return best;
}

}  // namespace bidfcl
