// What the kernels of one multiplier read and write: rows of scores, formed where value and cost lie side by side, and
// rows of gradients in the value, of which those in the cost are −λ times. Included by single_rows.h alone.
#pragma once

#include <limits>

#include "../machine/exp.h"
#include "rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Whether a pack's rows can be read as they lie, in the arithmetic's own storage.
template <class S, class T>
BIDFCL_HD bool lies_side_by_side(const LossJob<T>& job, const Who& who) {
  return sizeof(S) == sizeof(T) && who.neighbours && job.open.data == nullptr && job.value.item == 1 &&
         job.cost.item == 1 && job.value.row == job.items && job.cost.row == job.items;
}

// rows[k] = the k-th pack of value − λ·cost, as the rows lie.
template <class T, class Items>
BIDFCL_HD void fuse(const T* value, const T* cost, Pack<T> multiplier, Items items, T* rows) {
  constexpr int W = Lanes<T>::count;
  each_item(items, [&](int k) {
    const Pack<T> score = multiply_add<Pack<T>>(-multiplier, pack_at(cost + k * W), pack_at(value + k * W));
    std::memcpy(rows + k * W, &score, sizeof score);
  });
}

// A pack's lines of an array, some way on: the processor's own prefetching stops at the end of each page, and begins
// anew a few lines into the next.
BIDFCL_HD void fetch(const void* from, std::int64_t ahead, std::int64_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(from) + static_cast<std::uintptr_t>(ahead);
  for (std::int64_t k = 0; k < bytes; k += 64)
    __builtin_prefetch(reinterpret_cast<const void*>(at + static_cast<std::uintptr_t>(k)));
}

// What will be wanted when these neighbours' rows are done: rows further on, and the labels of the next run of users,
// which are read all at once.
template <class T>
BIDFCL_HD void fetch_ahead(const LossJob<T>& job, const T* value, const T* cost, std::int64_t user) {
  constexpr std::int64_t kAhead = 2048, pack = BIDFCL_PACK_BYTES;
  fetch(value, kAhead, pack * job.items);
  fetch(cost, kAhead, pack * job.items);
  if (job.treatment_stride == 1)
    fetch(job.treatment + user, kLossRows * 8, pack / static_cast<std::int64_t>(sizeof(T)) * 8);
  for (const Labels<T>* labels : {&job.weight, &job.outcome, &job.cost_outcome})
    if (labels->data != nullptr && labels->stride == 1)
      fetch(labels->data + user, kLossRows * static_cast<std::int64_t>(sizeof(T)), pack);
}

template <class S, class T>
BIDFCL_HD void score_rows(const LossJob<T>& job, Pack<T> multiplier, const Who& who, T* rows, T* spare) {
  if (lies_side_by_side<S, T>(job, who)) {
    const auto* value = reinterpret_cast<const T*>(element<S>(job.value, who.user[0], 0));
    const auto* cost = reinterpret_cast<const T*>(element<S>(job.cost, who.user[0], 0));
    fetch_ahead(job, value, cost, who.user[0]);
    fuse(value, cost, multiplier, job.items, rows);
    return;
  }
  fill_tile<S, T>(job.value, job.open, -std::numeric_limits<T>::infinity(), who, job.items, rows);
  fill_tile<S, T>(job.cost, job.open, T{}, who, job.items, spare);
  fuse(rows, spare, multiplier, job.items, rows);
}

// Gradients in the value on their way to both outputs, in a tile or straight from registers.
template <class S, class T>
class Outgoing {
 public:
  BIDFCL_HD Outgoing(const LossJob<T>& job, Pack<T> multiplier, T* tile)
      : tile_(tile),
        value_(static_cast<S*>(job.value_out)),
        cost_(static_cast<S*>(job.cost_out)),
        minus_(-multiplier),
        items_(job.items),
        past_caches_(job.stream) {}

  // The next tile's rows. It is sent when the one after is wanted: by then its small stores have reached the cache,
  // while a wide load right behind them would wait for each.
  BIDFCL_HD void put(const Who& who, const Pack<T>* columns) {
    send();
    each_quad<T>(items_, [&](int first) {
      store_columns<T>([&](int l) { return tile_ + l * items_ + first; }, columns + first);
    });
    who_ = who;
  }

  BIDFCL_HD void send() {
    if (who_.users == 0) return;
    if (sizeof(S) == sizeof(T) && who_.neighbours) {
      send_rows(who_, items_, reinterpret_cast<const Pack<T>*>(tile_));
    } else {
      for (int l = 0; l < who_.users; ++l) {
        const std::int64_t row = static_cast<std::int64_t>(who_.user[l]) * items_;
        const T* from = tile_ + static_cast<std::int64_t>(l) * items_;
        for (int j = 0; j < items_; ++j) from_number(from[j], value_[row + j]);
        for (int j = 0; j < items_; ++j) from_number(minus_[0] * from[j], cost_[row + j]);
      }
    }
    who_.users = 0;
  }

  // Packs of gradients, as the rows of neighbours lie.
  template <class Items>
  BIDFCL_HD void send_rows(const Who& who, Items items, const Pack<T>* rows) const {
    constexpr int W = Lanes<T>::count;
    const std::int64_t first = static_cast<std::int64_t>(who.user[0]) * items_;
    T *value = reinterpret_cast<T*>(value_ + first), *cost = reinterpret_cast<T*>(cost_ + first);
    const auto places = reinterpret_cast<std::uintptr_t>(value) | reinterpret_cast<std::uintptr_t>(cost);
    if (past_caches_ && places % BIDFCL_PACK_BYTES == 0) {
      each_item(items, [&](int k) {
        stream<T>(rows[k], value + k * W);
        stream<T>(minus_ * rows[k], cost + k * W);
      });
    } else {
      each_item(items, [&](int k) {
        const Pack<T> g = rows[k], c = minus_ * g;
        std::memcpy(value + k * W, &g, sizeof g);
        std::memcpy(cost + k * W, &c, sizeof c);
      });
    }
  }

 private:
  T* tile_;
  S *value_, *cost_;
  Pack<T> minus_;
  int items_;
  bool past_caches_;
  Who who_{nullptr, 0, false};
};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
