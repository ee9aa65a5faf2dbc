// Users of a chunk whose rows hold the same numbers: one of them is walked, and the others have its edges. Predictions
// made by segment, and small whole numbers, come in a few kinds of rows; of ordinary rows no two are alike, and after a
// first look they are left alone.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels.h"

namespace bidfcl {

struct Kind {
  std::int32_t user;        // who is walked
  std::size_t first, last;  // that one's edges, in the list that holds them
  std::vector<std::int32_t> twins;
};

class Alike {
 public:
  void clear() {
    kinds_.clear();
    run_ = 0;
    place_.fill(-1);
    off_ = false;
  }

  // Whether so many open users of a block are worth a look. Of few users, many are open for the sake of `fill`.
  template <class T>
  bool is_worth(const InstanceView<T>& in, std::int64_t open) const {
    return !off_ && open >= std::max(kBlock / 8, std::min(in.users, kBlock) / (in.users > kFew ? 8 : 2)) &&
           in.offsets == nullptr && in.is_plain() && in.items > 1;
  }

  // Moves those to the front of open[0, count) who are to be walked, and says how many they are.
  template <class T>
  std::int64_t sort_out(const InstanceView<T>& in, Open* open, std::int64_t count) {
    std::int64_t fresh = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      Kind* kind = find(in, open[i].user);
      if (kind != nullptr) {
        kind->twins.push_back(open[i].user);
        continue;
      }
      const std::int32_t user = open[i].user;
      place_[place(in, user)] = static_cast<int>(kinds_.size());
      kinds_.push_back({user, 0, 0, {}});
      open[fresh++] = open[i];
    }
    off_ = 2 * fresh > count;
    return fresh;
  }

  // The kinds that have twins, by user.
  std::vector<Kind> take() {
    kinds_.erase(std::remove_if(kinds_.begin(), kinds_.end(), [](const Kind& kind) { return kind.twins.empty(); }),
                 kinds_.end());
    std::sort(kinds_.begin(), kinds_.end(), [](const Kind& a, const Kind& b) { return a.user < b.user; });
    return std::move(kinds_);
  }

 private:
  // Of which kind this user's row is, if of one that is known.
  template <class T>
  Kind* find(const InstanceView<T>& in, std::int32_t user) {
    // Where most are of one kind, it is often that of the user before.
    if (run_ > 2 && is_of(kinds_[last_], in, user)) return &kinds_[last_];
    const int at = place_[place(in, user)];
    const auto kind = static_cast<std::size_t>(at);
    if (at < 0 || !is_of(kinds_[kind], in, user)) {
      run_ = 0;
      return nullptr;
    }
    run_ = kind == last_ ? run_ + 1 : 0;
    last_ = kind;
    return &kinds_[kind];
  }

  template <class T>
  static bool is_of(const Kind& kind, const InstanceView<T>& in, std::int32_t user) {
    const std::size_t bytes = static_cast<std::size_t>(in.items) * sizeof(T);
    return std::memcmp(in.values() + kind.user * in.value_row, in.values() + user * in.value_row, bytes) == 0 &&
           std::memcmp(in.costs() + kind.user * in.cost_row, in.costs() + user * in.cost_row, bytes) == 0;
  }

  // A few of a row's numbers say where its kind is looked for. Two kinds of one place displace each other.
  template <class T>
  static std::size_t place(const InstanceView<T>& in, std::int32_t user) {
    const auto bits = [](const T* at) {
      std::uint64_t out = 0;
      std::memcpy(&out, at, sizeof(T));
      return out;
    };
    const T* value = in.values() + user * in.value_row;
    const T* cost = in.costs() + user * in.cost_row;
    const int last = in.items - 1;
    std::uint64_t mixed = bits(value) + 3 * bits(value + last) + 5 * bits(cost + last) + 7 * bits(value + last / 2);
    mixed *= 0x9e3779b97f4a7c15ull;
    return mixed >> (64 - kBits);
  }

  static constexpr std::int64_t kFew = 4096;
  static constexpr int kBits = 8;
  std::vector<Kind> kinds_;
  std::size_t last_ = 0;  // the kind of the user before
  int run_ = 0;           // how many in turn were of it
  std::array<int, 1 << kBits> place_;
  bool off_ = false;
};

}  // namespace bidfcl
