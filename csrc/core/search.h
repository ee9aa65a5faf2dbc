// The multiplier search as a pure state machine: it owns no data, says which bracket it wants totals for, and is told
// the totals. The CPU loop, and every other driver, only evaluates and adds up integers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "buckets.h"
#include "config.h"

namespace bidfcl {

struct Bracket {
  double low, high;  // multipliers; low may be 0, high infinite
};

enum class Verdict { kInside, kTooLow, kTooHigh };  // the bracket, against λ*

// After the first edge that does not fit, this many are tried for the money left, that edge among them. A bound makes
// the plan independent of how much of the data a driver happened to keep.
constexpr int kFillWindow = 64;

// Standard errors to each side of a first bracket: a wider one leaves more users open, a narrower one misses more often
// (about one in a hundred has to be repeated).
constexpr double kDeviations = 2.5;

struct Search {
  int128 budget;
  Bracket outer{0, INFINITY};  // λ* is inside
  // What is known exactly: the spend at one multiplier, the latest end of a bracket that missed.
  double anchor = 0;
  int128 spend_at_anchor = 0;
  bool anchored = false;

  // The exact spends at the two ends of a bracket.
  Verdict tell(const Bracket& asked, int128 spend_low, int128 spend_high) {
    if (spend_high > budget) {
      outer.low = std::max(outer.low, asked.high);
      know(asked.high, spend_high);
      return Verdict::kTooLow;
    }
    if (spend_low <= budget && asked.low > 0) {
      outer.high = std::min(outer.high, asked.low);
      know(asked.low, spend_low);
      return Verdict::kTooHigh;
    }
    outer.low = std::max(outer.low, asked.low);
    outer.high = std::min(outer.high, asked.high);
    return Verdict::kInside;
  }

 private:
  void know(double multiplier, int128 spend) {
    anchor = multiplier;
    spend_at_anchor = spend;
    anchored = true;
  }
};

// One hull edge of a sampled user.
struct SampleEdge {
  double slope, cost;
  std::int32_t user;
};

// What the users of a sample spend, as a function of the multiplier: their edges, steepest first. Only the buckets that
// somebody asks about are ever sorted.
class SpendCurve {
 public:
  // `spend[k]`: what the k-th user spends before its first edge. Reorders nothing of the caller's.
  SpendCurve(std::vector<SampleEdge> edges, std::vector<double> spend) : spend_(std::move(spend)) {
    for (double s : spend_) base_ += s;
    const std::size_t n = edges.size();
    // Outliers must not stretch the buckets: the map spans what a few of the edges span, the rest falls to its ends.
    double few[64];
    std::size_t tried = 0;
    for (; tried < std::min<std::size_t>(64, n); ++tried)
      few[tried] = edges[tried * n / std::min<std::size_t>(64, n)].slope;
    std::sort(few, few + tried);
    if (n > 0) map_ = SlopeBuckets::between(few[tried / 32] / 4, few[tried - 1 - tried / 32] * 4, kBuckets);

    start_.assign(kBuckets + 1, 0);
    for (const SampleEdge& e : edges) ++start_[rank(e) + 1];
    for (int b = 0; b < kBuckets; ++b) start_[b + 1] += start_[b];
    std::vector<std::size_t> next(start_.begin(), start_.end() - 1);
    edges_.resize(n);
    cost_.assign(kBuckets, 0.0);
    for (const SampleEdge& e : edges) {
      edges_[next[rank(e)]++] = e;
      cost_[rank(e)] += e.cost;
    }
    sorted_.assign(kBuckets, 0);
  }

  std::size_t size() const { return edges_.size(); }
  double base() const { return base_; }
  double slope(std::size_t k) { return sort(bucket_of(k)), edges_[k].slope; }
  double steepest() { return edges_.empty() ? 0 : slope(0); }

  // How many of the steepest edges `money` buys in all, the users' base included.
  std::size_t bought(double money) {
    double left = money - base_;
    for (int b = 0; b < kBuckets; ++b) {
      if (cost_[b] <= left && b + 1 < kBuckets) {
        left -= cost_[b];
        continue;
      }
      sort(b);
      std::size_t k = start_[b];
      for (; k < start_[b + 1] && edges_[k].cost <= left; ++k) left -= edges_[k].cost;
      return k;
    }
    return edges_.size();
  }

  // The users' spend once all edges steeper than `multiplier` are bought.
  double spend_at(double multiplier) {
    double total = base_;
    for (int b = 0; b < kBuckets; ++b) {
      sort(b, multiplier);
      for (std::size_t k = start_[b]; k < start_[b + 1]; ++k) {
        if (!(edges_[k].slope > multiplier)) return total;
        total += edges_[k].cost;
      }
    }
    return total;
  }

  // Standard deviation of what a sample of such users spends on the edges first, ..., last − 1; from 0 on, their base
  // is included.
  double deviation(std::size_t first, std::size_t last) const {
    std::vector<double> spend = first == 0 ? spend_ : std::vector<double>(spend_.size(), 0.0);
    for (std::size_t k = first; k < last; ++k) spend[edges_[k].user] += edges_[k].cost;
    double sum = 0, squares = 0;
    for (double s : spend) {
      sum += s;
      squares += s * s;
    }
    return std::sqrt(std::max(0.0, squares - sum * sum / static_cast<double>(spend.size())));
  }

 private:
  static constexpr int kBuckets = 1024;

  int rank(const SampleEdge& e) const { return kBuckets - 1 - map_(e.slope); }
  int bucket_of(std::size_t k) const {
    return static_cast<int>(std::upper_bound(start_.begin(), start_.end(), k) - start_.begin()) - 1;
  }
  void sort(int b) {
    if (sorted_[b]) return;
    std::sort(edges_.begin() + static_cast<std::ptrdiff_t>(start_[b]),
              edges_.begin() + static_cast<std::ptrdiff_t>(start_[b + 1]),
              [](const SampleEdge& x, const SampleEdge& y) {
                return x.slope != y.slope ? x.slope > y.slope : x.user < y.user;
              });
    sorted_[b] = 1;
  }
  // Sorted only if the bucket may hold edges on both sides of `multiplier`.
  void sort(int b, double multiplier) {
    if (map_(multiplier) == kBuckets - 1 - b) sort(b);
  }

  SlopeBuckets map_;
  std::vector<SampleEdge> edges_;
  std::vector<std::size_t> start_;
  std::vector<double> cost_, spend_;
  std::vector<char> sorted_;
  double base_ = 0;
};

// The bracket that a sample suggests (the idea of Floyd and Rivest's SELECT): where its spend, by rising multiplier,
// passes target + deviation and target − deviation, and `spare` more edges further down, which `fill` may need.
inline Bracket suggest(SpendCurve& curve, double target, double deviation, std::size_t spare, const Bracket& outer) {
  Bracket out = outer;
  // A hair beyond the edges found: λ* may be one of the sampled slopes itself.
  const std::size_t count = curve.size(), high = curve.bought(target - deviation);
  if (count > 0 && high > 0) out.high = curve.slope(std::min(high, count - 1)) * (1 + 1e-6);
  const std::size_t low = curve.bought(target + deviation) + 1 + spare;
  if (low < count) out.low = curve.slope(low) * (1 - 1e-6);
  // λ* is inside `outer`: a bracket beside it would be lost work. Below, `fill` may need more than λ* does.
  if (!(out.high < outer.high)) out.high = outer.high;
  if (!(out.high > outer.low)) out.high = outer.low * (1 + 1.0 / 16);
  if (!(out.low < outer.high)) out.low = outer.high * (1 - 1.0 / 16);
  return out;
}

}  // namespace bidfcl
