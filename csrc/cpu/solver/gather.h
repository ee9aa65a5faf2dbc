// From any layout to the plain one: a few users' rows are copied side by side as T, a closed treatment as one that
// never wins. The copy stays in cache, and the kernels for plain rows do the rest. Included by kernels.cpp alone.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "../machine/halves.h"
#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// A closed treatment scores below every open one.
template <class T>
constexpr T kNever = std::numeric_limits<T>::lowest();

// `count` cells in equal steps.
template <class T>
BIDFCL_HD void copy_cells(const void* from, std::int64_t step, std::int64_t count, Stored storage, T* out) {
  std::int64_t k = 0;
  if constexpr (sizeof(T) == sizeof(float)) {
    const auto* halves = static_cast<const std::uint16_t*>(from);
    if (storage == Stored::kFloat16) {
      for (constexpr int W = Lanes<T>::count; step == 1 && k + W <= count; k += W) {
        Halves some;  // by packs, because compilers make branches of from_float16
        std::memcpy(&some, halves + k, sizeof some);
        const auto pack = widened<Float16>(some);
        std::memcpy(out + k, &pack, sizeof pack);
      }
      for (; k < count; ++k) out[k] = from_float16(halves[k * step]);
      return;
    }
    if (storage == Stored::kBFloat16) {
      if (step == 1)
        for (; k < count; ++k) out[k] = from_bfloat16(halves[k]);
      for (; k < count; ++k) out[k] = from_bfloat16(halves[k * step]);
      return;
    }
  }
  const T* own = static_cast<const T*>(from);
  if (step == 1) std::copy(own, own + count, out);
  else
    for (; k < count; ++k) out[k] = own[k * step];
}

// What is closed among them; a step of one, apart, for the compiler.
template <class T>
BIDFCL_HD void close_cells(const std::uint8_t* open, std::int64_t step, std::int64_t count, T closed, T* out) {
  if (step == 1)
    for (std::int64_t k = 0; k < count; ++k) out[k] = open[k] != 0 ? out[k] : closed;
  else
    for (std::int64_t k = 0; k < count; ++k) out[k] = open[k * step] != 0 ? out[k] : closed;
}

// One array's cells of the users [begin, end).
template <class T>
void gather_array(const InstanceView<T>& in, const void* cells, std::int64_t row, std::int64_t item, std::int64_t begin,
                  std::int64_t end, T closed, T* out) {
  const auto run = [&](std::int64_t at, std::int64_t open_at, std::int64_t count) {
    copy_cells(cell_address<T>(cells, at, in.storage), item, count, in.storage, out);
    if (in.open != nullptr) close_cells(in.open + open_at, in.open_item, count, closed, out);
    out += count;
  };
  if (in.offsets != nullptr) {
    const std::int64_t first = in.offsets[begin];
    run(first * item, first * in.open_item, in.offsets[end] - first);
  } else if (row == in.items * item && (in.open == nullptr || in.open_row == in.items * in.open_item)) {
    run(begin * row, begin * in.open_row, (end - begin) * in.items);
  } else {
    for (std::int64_t i = begin; i < end; ++i) run(i * row, i * in.open_row, in.items);
  }
}

// Users from `begin` on whose rows fit, in whole packs where all rows are as long; and those as a view of their own.
template <class T>
class Gather {
 public:
  Gather(const InstanceView<T>& in, void* scratch)
      : in_(in),
        cells_(gathered_cells(in)),
        value_(static_cast<T*>(scratch)),
        cost_(value_ + cells_),
        offsets_(reinterpret_cast<std::int64_t*>(cost_ + cells_)) {}

  // Where a piece that begins at `begin` ends.
  std::int64_t piece(std::int64_t begin, std::int64_t end) const {
    constexpr std::int64_t kPack = 16;  // a multiple of every pack
    if (in_.offsets == nullptr) return std::min(end, begin + std::max(kPack, cells_ / in_.items / kPack * kPack));
    std::int64_t at = begin + 1;
    while (at < end && in_.offsets[at + 1] - in_.offsets[begin] <= cells_) ++at;
    return at;
  }

  // Asks for the piece that begins at `begin`, to be there when its turn comes.
  void fetch(std::int64_t begin) const {
    if (begin >= in_.users || in_.value_item != 1 || in_.cost_item != 1) return;
    const std::int64_t end = piece(begin, in_.users);
    fetch(in_.value, begin, end, in_.value_row);
    fetch(in_.cost, begin, end, in_.cost_row);
  }

  InstanceView<T> view(std::int64_t begin, std::int64_t end) {
    gather_array(in_, in_.value, in_.value_row, in_.value_item, begin, end, kNever<T>, value_);
    gather_array(in_, in_.cost, in_.cost_row, in_.cost_item, begin, end, T{0}, cost_);
    InstanceView<T> out{value_, cost_, nullptr, in_.items, 1, in_.items, 1, 0, 0, end - begin, in_.items};
    if (in_.offsets == nullptr) return out;
    for (std::int64_t i = begin; i <= end; ++i) offsets_[i - begin] = in_.offsets[i] - in_.offsets[begin];
    out.offsets = offsets_;
    return out;
  }

 private:
  void fetch(const void* cells, std::int64_t begin, std::int64_t end, std::int64_t row) const {
    const std::int64_t first = in_.offsets ? in_.offsets[begin] : begin * row;
    const std::int64_t last = in_.offsets ? in_.offsets[end] : end * row;
    const auto* stop = static_cast<const char*>(cell_address<T>(cells, last, in_.storage));
    for (auto* at = static_cast<const char*>(cell_address<T>(cells, first, in_.storage)); at < stop; at += 64)
      __builtin_prefetch(at, 0, 2);
  }

  InstanceView<T> in_;
  std::int64_t cells_;
  T* value_;
  T* cost_;
  std::int64_t* offsets_;
};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
