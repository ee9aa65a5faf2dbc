// A bracket made narrower by the part of the users that was read first.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "pass.h"

namespace bidfcl {

// The buckets [low, high) of a map.
struct BucketRange {
  int low, high;
};

// Which chunks are read first: spread evenly over all, but off any period the data may have. The first few dozen
// thousand users leave a bracket about as wide as the sample's; the share that pays shrinks with the cube root of N.
inline std::vector<std::int64_t> first_chunks(std::int64_t chunks, std::int64_t users, std::int64_t sample) {
  constexpr std::int64_t kWorth = 32, kFewest = 12;  // fewer say little about how much chunks differ
  if (chunks < kWorth) return {};
  const double share = std::cbrt(static_cast<double>(sample) / (4.0 * static_cast<double>(users)));
  const std::int64_t wanted = std::max(kFewest, static_cast<std::int64_t>(share * static_cast<double>(chunks)));
  std::vector<std::int64_t> out;
  for (std::int64_t k = 0; k < wanted; ++k) {
    const double golden = 0.6180339887498949 * static_cast<double>(k);
    const double at = (static_cast<double>(k) + golden - std::floor(golden)) / static_cast<double>(wanted);
    // The last chunk may be short, and is left out.
    out.push_back(static_cast<std::int64_t>(at * static_cast<double>(chunks - 1)));
  }
  return out;
}

// How far the sum over chunks may be off for a share of all: each chunk's amount is one observation, so that it counts
// if neighbours are alike.
inline double deviation(const std::vector<double>& amounts, double share) {
  constexpr double kStandardErrors = 3;
  const double n = static_cast<double>(amounts.size());
  double sum = 0, squares = 0;
  for (const double x : amounts) sum += x;
  for (const double x : amounts) squares += (x - sum / n) * (x - sum / n);
  return kStandardErrors * std::sqrt(squares / (n - 1) * n * (1 - share)) + 1e-6 * std::fabs(sum);
}

// The buckets that should hold the λ* of `budget` and, below it, the edges wanted; `before`: the cost above all
// buckets. Both are for all users, of whom the buckets know a share. All buckets, if nothing is gained.
inline BucketRange narrow(const std::vector<Bucket>& buckets, double before, double share, double off, double budget,
                          double wanted) {
  const int count = static_cast<int>(buckets.size());
  const double target = budget * share;
  // So many edges among these users, that there are enough among all.
  const double spare = wanted * share + 3 * std::sqrt(wanted * share);
  BucketRange out{0, count};
  double spend = before;
  std::int64_t below = 0, all = 0, kept = 0;
  for (const Bucket& b : buckets) all += b.edges;
  for (int b = count - 1; b >= 0; --b) {
    const auto cost = static_cast<double>(buckets[static_cast<std::size_t>(b)].totals.cost);
    if (spend <= target - off) out.high = b + 1;
    else if (spend > target + off) below += buckets[static_cast<std::size_t>(b)].edges;
    spend += cost;
    if (spend > target + off && static_cast<double>(below) >= spare) {
      out.low = b;
      break;
    }
  }
  for (int b = out.low; b < out.high; ++b) kept += buckets[static_cast<std::size_t>(b)].edges;
  if (out.low >= out.high || 4 * kept >= 3 * all) return {0, count};
  return out;
}

}  // namespace bidfcl
