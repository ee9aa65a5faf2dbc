// One thread's scratch for walks: room for the edges of a run of users.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels.h"

namespace bidfcl {

// Bytes aligned to 64 that are not initialised, and grow.
class AlignedMemory {
 public:
  void* room(std::size_t bytes) {
    if (bytes > bytes_) {
      memory_.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
      if (!memory_) throw std::bad_alloc();
      bytes_ = bytes;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::size_t bytes_ = 0;
  std::unique_ptr<void, Free> memory_;
};

class Lister {
 public:
  // Users walked at a time: few enough that their edges stay in cache.
  static std::int64_t run_users(int items) { return std::max(8, std::min(kMost, 8192 / items)); }

  // Makes room for rows of so many treatments; keeps what it has.
  void prepare(int items) {
    if (items <= items_) return;
    const auto users = static_cast<std::size_t>(run_users(items));
    edges_.reset(new Edge[users * static_cast<std::size_t>(std::max(1, items - 1))]);
    at_.reset(new std::int32_t[kMost]);
    scratch_.room(walk_scratch(items));
    items_ = items;
  }

  // Walks the users in runs and shows each: see(users, count, run, edges).
  template <class T, class See>
  void walk(const WalkJob<T>& job, const Open* users, std::int64_t count, const See& see) {
    const InstanceView<T>& in = job.instance;
    const std::int64_t step = run_users(in.items);
    for (std::int64_t k = 0, some; k < count; k += some) {
      some = std::min(step, count - k);
      if (in.offsets != nullptr) some = users_that_fit(in, users + k, count - k, step * (in.items - 1));
      WalkRun run{edges_.get(), at_.get(), scratch_.room(0), {}, false};
      const std::int64_t edges = solver_kernels<T>().walk(job, users + k, some, run);
      see(users + k, some, run, edges);
    }
  }

 private:
  // The longest row alone would make runs short.
  template <class T>
  static std::int64_t users_that_fit(const InstanceView<T>& in, const Open* users, std::int64_t count,
                                     std::int64_t edges) {
    std::int64_t some = 0;
    for (; some < std::min<std::int64_t>(count, kMost); ++some) {
      edges -= in.items_of(users[some].user) - 1;
      if (edges < 0) break;
    }
    return some;
  }

  static constexpr int kMost = 256;
  int items_ = 0;
  std::unique_ptr<Edge[]> edges_;
  std::unique_ptr<std::int32_t[]> at_;
  AlignedMemory scratch_;
};

}  // namespace bidfcl
