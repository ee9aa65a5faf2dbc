// Partial plans over some rows of a core, and the best pair of two such lists: the twin of bidfcl_fast/_core.py.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "../../core/config.h"

namespace bidfcl {

constexpr std::int64_t kFirstMeeting = 64;  // entries; the halves meet whenever one of them is four times as long

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

  Half() { clear(); }

  // Back to the one plan that takes nothing; what memory there is stays.
  void clear() {
    list_.assign(1, {0, 0, 0});
    loss_.assign(1, 0.0);
    all_live();
    due_ = kFirstMeeting;
    log_.clear();
    starts_.assign(1, 1);
    steps_.clear();
  }

  std::int64_t size() const { return static_cast<std::int64_t>(list_.size()); }
  std::int64_t named() const { return static_cast<std::int64_t>(log_.size()) + 1; }
  const std::vector<Entry>& list() const { return list_; }
  const std::vector<double>& loss() const { return loss_; }

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

  // Once it has grown: only what is worth more than all that costs no more. Lists of numbers with many digits hold
  // hardly anything else; then it is looked for again when there is much more.
  void settle(double allowed) {
    const std::int64_t before = size();
    if (before < due_) return;
    take(ordered(allowed));
    due_ = std::max(kFirstMeeting, (8 * size() <= 7 * before ? 2 : 8) * size());
  }

  void drop(double allowed) {
    std::vector<std::int32_t> kept;
    for (std::size_t k = 0; k < loss_.size(); ++k)
      if (loss_[k] <= allowed) kept.push_back(static_cast<std::int32_t>(k));
    if (kept.size() < loss_.size()) take(kept);
  }

  // The places of entries whose losses are within `most`, in rising cost and value; of equals, the first.
  std::vector<std::int32_t> ordered(double most) const {
    struct Key {
      Num cost;
      std::int32_t place;
    };
    std::vector<Key> keys;
    for (std::size_t k = 0; k < list_.size(); ++k)
      if (loss_[k] <= most) keys.push_back({list_[k].cost, static_cast<std::int32_t>(k)});
    std::sort(keys.begin(), keys.end(),
              [](const Key& a, const Key& b) { return a.cost != b.cost ? a.cost < b.cost : a.place < b.place; });
    std::vector<std::int32_t> kept;
    for (const Key& key : keys)
      if (kept.empty() ||
          list_[static_cast<std::size_t>(key.place)].value > list_[static_cast<std::size_t>(kept.back())].value)
        kept.push_back(key.place);
    return kept;
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

  // Only the entries at these places, in this order.
  void take(const std::vector<std::int32_t>& places) {
    std::vector<Entry> list;
    std::vector<double> loss;
    list.reserve(places.size());
    loss.reserve(places.size());
    for (const std::int32_t k : places) {
      list.push_back(list_[static_cast<std::size_t>(k)]);
      loss.push_back(loss_[static_cast<std::size_t>(k)]);
    }
    list_.swap(list);
    loss_.swap(loss);
    all_live();
  }

  void all_live() {
    live_.resize(list_.size());
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
  std::int64_t due_;                // so long, it is to be put in order
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

// What of one half may stand beside an entry of the other whose losses are large.
template <class Num>
class Small {
 public:
  Small(const Half<Num>& half, double most) : places_(half.ordered(most)) {
    for (const std::int32_t k : places_) {
      cost_.push_back(half.list()[static_cast<std::size_t>(k)].cost);
      value_.push_back(half.list()[static_cast<std::size_t>(k)].value);
    }
  }

  // Of each of kTogether rooms, how many cost no more; the last of them is worth the most. Side by side, since each
  // step waits for the one before; and with a mask, since a branch would be guessed wrong half the time.
  static constexpr std::size_t kTogether = 8;
  void within(const Num* room, std::size_t* fits) const {
    std::size_t at[kTogether] = {};
    for (std::size_t count = cost_.size(), half; count > 1; count -= half) {
      half = count / 2;
      for (std::size_t l = 0; l < kTogether; ++l)
        at[l] += half & (std::size_t{0} - static_cast<std::size_t>(cost_[at[l] + half - 1] <= room[l]));
    }
    for (std::size_t l = 0; l < kTogether; ++l) fits[l] = at[l] + (!cost_.empty() && cost_[at[l]] <= room[l]);
  }

  Num value(std::size_t k) const { return value_[k]; }
  std::int64_t place(std::size_t k) const { return places_[k]; }

 private:
  std::vector<std::int32_t> places_;
  std::vector<Num> cost_, value_;
};

// The most valuable pair of entries within the room, of those whose losses add up to no more than `allowed`: one of the
// two has no more than half of that, so few need to be in order. Of several pairs, the first.
template <class Num>
Pair<Num> meet(const Half<Num>& a, const Half<Num>& b, Num room, double allowed) {
  Pair<Num> best;
  const auto look = [&](const Half<Num>& half, const Small<Num>& other, double above, bool turned) {
    constexpr std::size_t kTogether = Small<Num>::kTogether;
    Num left[kTogether] = {};
    std::size_t places[kTogether], fits[kTogether], count = 0;
    const auto flush = [&] {
      other.within(left, fits);
      for (std::size_t l = 0; l < count; ++l) {
        if (fits[l] == 0) continue;
        const Num value = half.list()[places[l]].value + other.value(fits[l] - 1);
        if (best.fits && value <= best.value) continue;
        const auto own = static_cast<std::int64_t>(places[l]), its = other.place(fits[l] - 1);
        best = turned ? Pair<Num>{true, value, its, own} : Pair<Num>{true, value, own, its};
      }
      count = 0;
    };
    for (std::size_t k = 0; k < half.list().size(); ++k) {
      places[count] = k;
      left[count] = room - half.list()[k].cost;
      count += half.loss()[k] > above;
      if (count == kTogether) flush();
    }
    flush();
  };
  look(a, Small<Num>(b, allowed / 2), -1.0, false);
  look(b, Small<Num>(a, allowed / 2), allowed / 2, true);
  return best;
}

}  // namespace bidfcl
