// The probe: what rows spend at several multipliers, in the data's own precision. It only says where to look: nothing
// that is kept depends on it. Included by kernels.cpp alone.
#pragma once

#include <limits>

#include "../machine/columns.h"
#include "../machine/lanes.h"
#include "kernels.h"
#include "scan.h"
#include "sweep.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T, int K, bool Scan>
class Probe {
 public:
  using L = Lanes<T>;
  using Pack = typename L::Pack;
  static constexpr int W = L::count;

  explicit BIDFCL_HD Probe(const T* multipliers) {
    for (int k = 0; k < K; ++k) multiplier_[k] = L::all(multipliers[k]);
  }

  // W rows side by side; M treatments, or any number if M = 0.
  template <int M>
  BIDFCL_HD void take(const T* value, const T* cost, int any) {
    const int items = M ? M : any;
    Pack best[K], chosen[K];
    for (int k = 0; k < K; ++k) {
      best[k] = L::all(kNever<T>);
      chosen[k] = L::all(0);
    }
    for (int done = 0; done < items; done += L::quad) {
      const int first = done + L::quad <= items ? done : items - L::quad;
      Pack v[L::quad], c[L::quad];
      load_columns([&](int l) { return value + l * items + first; }, v);
      load_columns([&](int l) { return cost + l * items + first; }, c);
#pragma GCC unroll 4
      for (int j = 0; j < L::quad; ++j) {  // a treatment seen twice changes nothing
        if constexpr (Scan) {
          seen_value_.take(v[j]);
          seen_cost_.take(c[j]);
          seen_cost_.take_least(c[j]);
        }
#pragma GCC unroll 8
        for (int k = 0; k < K; ++k) {
          const Pack at = score<BIDFCL_FUSED != 0>(v[j], multiplier_[k], c[j]);
          chosen[k] = at > best[k] ? c[j] : chosen[k];
          best[k] = larger(best[k], at);
        }
      }
    }
    for (int k = 0; k < K; ++k) {
      spend_[k] += chosen[k];
      squares_[k] += chosen[k] * chosen[k];
      if (k > 0) moved_[k - 1] += __builtin_popcount(bits_of(chosen[k - 1] != chosen[k]));
    }
  }

  BIDFCL_HD void flush(ProbeTotals& out) {
    for (int k = 0; k < K; ++k) {
      for (int l = 0; l < W; ++l) {
        out.spend[k] += static_cast<double>(spend_[k][l]);
        out.squares[k] += static_cast<double>(squares_[k][l]);
      }
      spend_[k] = squares_[k] = L::all(0);
      out.moved[k] += moved_[k];
      moved_[k] = 0;
    }
  }

  // The magnitudes seen; false if there was a negative number, and nothing is known.
  bool seen(Largest& out) const {
    Magnitudes<T> value, cost;
    if (!seen_value_.join_to(value) || !seen_cost_.join_to(cost)) return false;
    out.join(found<T>(value, cost));
    return true;
  }

 private:
  Pack multiplier_[K], spend_[K]{}, squares_[K]{};
  std::int64_t moved_[K]{};
  PackMagnitudes seen_value_, seen_cost_;
};

template <int M, int K, bool Scan, class T>
std::int64_t probe_packs(const T* value, const T* cost, std::int64_t rows, int items, const T* multipliers,
                         ProbeTotals& out, Largest* seen) {
  constexpr int W = Probe<T, K, Scan>::W;
  Probe<T, K, Scan> probe(multipliers);
  std::int64_t i = 0;
  while (i + W <= rows) {
    // Few enough that sums in single precision stay good.
    for (const std::int64_t stop = std::min(rows, i + 1024); i + W <= stop; i += W)
      probe.template take<M>(value + i * items, cost + i * items, items);
    probe.flush(out);
  }
  if constexpr (Scan) {
    const InstanceView<T> rest{value, cost, nullptr, items, 1, items, 1, 0, 0, rows, items};
    seen->join(scan(rest, probe.seen(*seen) ? i : 0, rows));
  }
  return i;
}

template <int K, bool Scan, class T>
void probe_at(const T* value, const T* cost, std::int64_t rows, int items, const T* multipliers, ProbeTotals& out,
              Largest* seen) {
  std::int64_t i = 0;
  if (items == 5) i = probe_packs<5, K, Scan>(value, cost, rows, items, multipliers, out, seen);
  else if (items == 8) i = probe_packs<8, K, Scan>(value, cost, rows, items, multipliers, out, seen);
  else if (items == 10) i = probe_packs<10, K, Scan>(value, cost, rows, items, multipliers, out, seen);
  else if (items >= Lanes<T>::quad) i = probe_packs<0, K, Scan>(value, cost, rows, items, multipliers, out, seen);
  for (; i < rows; ++i) {
    T before = 0;
    for (int k = 0; k < K; ++k) {
      T best = kNever<T>, chosen = 0;
      for (int j = 0; j < items; ++j) {
        const T at = value[i * items + j] - multipliers[k] * cost[i * items + j];
        chosen = at > best ? cost[i * items + j] : chosen;
        best = at > best ? at : best;
      }
      out.spend[k] += chosen;
      out.squares[k] += static_cast<double>(chosen) * chosen;
      if (k > 0) out.moved[k - 1] += chosen != before;
      before = chosen;
    }
  }
}

template <class T>
void probe(const T* value, const T* cost, std::int64_t rows, int items, const T* multipliers, ProbeTotals& out) {
  probe_at<kProbes, false>(value, cost, rows, items, multipliers, out, nullptr);
}

template <class T>
Largest look(const T* value, const T* cost, std::int64_t rows, int items, const T* multipliers, ProbeTotals& out) {
  Largest seen;
  const bool scans = sizeof(T) == sizeof(float) && items >= Lanes<T>::quad;
  if constexpr (sizeof(T) == sizeof(float))
    if (scans) probe_at<kLooks, true>(value, cost, rows, items, multipliers, out, &seen);
  if (!scans) {
    probe_at<kLooks, false>(value, cost, rows, items, multipliers, out, nullptr);
    const InstanceView<T> all{value, cost, nullptr, items, 1, items, 1, 0, 0, rows, items};
    seen = scan(all, 0, rows);
  }
  return seen;
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
