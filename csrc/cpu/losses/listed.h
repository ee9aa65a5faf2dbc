// The users of a run whose outcome says anything, and the scratch that they are worked on in.
#pragma once

#include "rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

// Cuts aligned pieces off the caller's memory.
class Cutter {
 public:
  explicit BIDFCL_HD Cutter(void* from) : at_(static_cast<char*>(from)) {}
  template <class U>
  BIDFCL_HD U* take(std::int64_t count) {
    U* out = reinterpret_cast<U*>(at_);
    at_ += (count * static_cast<std::int64_t>(sizeof(U)) + 63) / 64 * 64;
    return out;
  }

 private:
  char* at_;
};

template <class T>
struct Columns {
  Pack<T>*value, *cost, *value_turn, *cost_turn;  // as read
  Pack<T>*share, *unit, *slope, *turn, *curve;    // of one multiplier
  Pack<T>*value_out, *cost_out;                   // summed over multipliers
  T* tile;                                        // of rows read
  Tile<T> value_rows, cost_rows;                  // of rows to be written
};

// The users of a run that can add something, with treatment and two labels each.
template <class T>
struct Listed {
  std::int32_t *user, *received;
  T *value_label, *cost_label;
  int count = 0;
  std::int64_t astray = 0;  // treatments out of range

  BIDFCL_HD void keep(std::int64_t k, bool counts) {  // entry k moves to the end of what is kept
    user[count] = user[k];
    received[count] = received[k];
    value_label[count] = value_label[k];
    cost_label[count] = cost_label[k];
    count += counts;
  }

  // Lanes without a user get the last one again, of no weight.
  BIDFCL_HD void fill_idle_lanes() {
    constexpr int W = Lanes<T>::count;
    for (int k = count; count > 0 && k % W != 0; ++k) {
      user[k] = user[count - 1];
      received[k] = received[count - 1];
      value_label[k] = cost_label[k] = 0;
    }
  }
  BIDFCL_HD Who pack(int first) const {
    constexpr int W = Lanes<T>::count;
    const int users = count - first < W ? count - first : W;
    const std::int32_t* who = user + first;
    return {who, users, users == W && who[W - 1] - who[0] == W - 1};
  }
  BIDFCL_HD IntPack<T> received_by(int first) const {
    typedef std::int32_t Narrow __attribute__((vector_size(Lanes<T>::count * 4)));
    Narrow t;
    std::memcpy(&t, received + first, sizeof t);
    return __builtin_convertvector(t, IntPack<T>);
  }
};

// weight·label for a run; side by side is a loop of its own, since only that becomes vector code.
template <class T>
BIDFCL_HD void weigh(const Labels<T>& weight, const Labels<T>& label, std::int64_t begin, std::int64_t n, T* out) {
  if (label.data == nullptr) {
    std::memset(out, 0, static_cast<std::size_t>(n) * sizeof(T));
  } else if (weight.stride == 1 && label.stride == 1) {
    const T *w = weight.data + begin, *y = label.data + begin;
    for (std::int64_t k = 0; k < n; ++k) out[k] = w[k] * y[k];
  } else {
    for (std::int64_t k = 0; k < n; ++k) out[k] = weight[begin + k] * label[begin + k];
  }
}

template <class T>
BIDFCL_HD void list_users(const LossJob<T>& job, std::int64_t begin, std::int64_t end, Listed<T>& out) {
  const std::int64_t n = end - begin;
  weigh(job.weight, job.outcome, begin, n, out.value_label);
  weigh(job.weight, job.cost_outcome, begin, n, out.cost_label);
  std::int32_t astray = 0;
  const std::int64_t arms = job.items + (job.rule.family == kDrp);
  const std::int64_t* treatment = job.treatment + begin * job.treatment_stride;
  const auto read = [&](std::int64_t k, std::int64_t t) {
    out.received[k] = static_cast<std::int32_t>(t);
    astray += (t < 0) | (t >= arms);
  };
  if (job.treatment_stride == 1)
    for (std::int64_t k = 0; k < n; ++k) read(k, treatment[k]);
  else
    for (std::int64_t k = 0; k < n; ++k) read(k, treatment[k * job.treatment_stride]);
  out.astray = astray;
  if (astray > 0) return;
  std::int32_t silent = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    out.user[k] = static_cast<std::int32_t>(begin + k);
    silent += (out.value_label[k] == 0) & (out.cost_label[k] == 0);
  }
  out.count = static_cast<int>(n);
  if (silent == 0 && job.open.data == nullptr) return out.fill_idle_lanes();
  out.count = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    bool counts = (out.value_label[k] != 0) | (out.cost_label[k] != 0);
    // A treatment closed to a user cannot be decided: the row is constant.
    if (counts && job.open.data != nullptr) counts = *element<std::uint8_t>(job.open, begin + k, out.received[k]) != 0;
    out.keep(k, counts);
  }
  out.fill_idle_lanes();
}

template <class S>
BIDFCL_HD void clear_others(void* out, std::int64_t begin, std::int64_t end, int items, const std::int32_t* user,
                            int listed) {
  S* rows = static_cast<S*>(out);
  std::int64_t i = begin;
  for (int k = 0; k <= listed; ++k) {
    const std::int64_t next = k < listed ? user[k] : end;
    if (next > i) std::memset(rows + i * items, 0, static_cast<std::size_t>((next - i) * items) * sizeof(S));
    i = next + 1;
  }
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
