#include "cuda/solver/sample.h"

#include "core/buckets.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/machine/numbers.h"

namespace bidfcl {
namespace {

constexpr int kRounds = 4;                     // 32 probes each: from all doubles to a thousandth of an octave
constexpr std::int64_t kRows = 8;              // of the sample, a thread
constexpr double kSlack = 1.0 / (1ull << 40);  // listing one edge too many never hurts

// Multipliers order like the integers that hold their bits.
BIDFCL_HD double between(double low, double high, int probe) {
  const std::uint64_t from = SlopeBuckets::bits(low), to = SlopeBuckets::bits(high);
  const std::uint64_t at = from + (to - from) / (kProbes + 1) * static_cast<std::uint64_t>(probe + 1);
  double out;
  std::memcpy(&out, &at, sizeof out);
  return out;
}

// What a few rows of the sample spend at one multiplier.
template <class T>
struct Probe {
  Instances<T> in;
  const Survey* survey;
  Guess<T>* guess;
  std::int64_t sample;

  BIDFCL_HD void operator()(std::int64_t t) const {
    if (!survey->usable()) return;
    const int probe = static_cast<int>(t % kProbes);
    const T multiplier = static_cast<T>(between(guess->low, guess->high, probe));
    const FixedPoint scale = FixedPoint::for_largest(survey->cost);
    const InstanceView<T> all = in.problem(0);
    std::int64_t spend = 0;
    std::uint64_t square = 0;
    for (std::int64_t k = t / kProbes * kRows, n = 0; n < kRows && k < sample; ++k, ++n) {
      const RowView<T> row = all.row(k * (all.users / sample) + k * (all.users % sample) / sample);
      T best = -std::numeric_limits<T>::infinity(), cost = 0;
      for (int j = 0; j < row.items; ++j) {
        if (!row.open_at(j)) continue;
        const T c = row.cost_at(j), s = score<true>(row.value_at(j), multiplier, c);
        cost = s > best ? c : cost;
        best = s > best ? s : best;
      }
      const std::int64_t units = scale(static_cast<double>(cost));
      const std::int64_t coarse = units >> 40;
      spend += units >> 16;
      square += static_cast<std::uint64_t>(coarse * coarse);
    }
    atomic_add(&guess->spend[probe], static_cast<std::uint64_t>(spend));
    atomic_add(&guess->square[probe], square);
  }
};

// Narrows the bracket to what the sample's spends leave.
template <class T>
struct Narrow {
  const Survey* survey;
  Guess<T>* guess;
  double budget, deviations, sample, users;

  BIDFCL_HD void operator()(std::int64_t) const {
    if (!survey->usable()) return;
    const FixedPoint scale = FixedPoint::for_largest(survey->cost);
    const double room = budget * scale.factor * scale.factor_too, times = users / sample;
    double low = guess->low, high = guess->high;
    for (int probe = 0; probe < kProbes; ++probe) {
      const double at = between(guess->low, guess->high, probe);
      const double sum = static_cast<double>(static_cast<std::int64_t>(guess->spend[probe])) * (1 << 16);
      const double squares = static_cast<double>(guess->square[probe]) * std::ldexp(1.0, 80);
      const double spread = squares - sum * sum / sample;
      const double error = deviations * times * std::sqrt(spread > 0 ? spread * (1 - sample / users) : 0.0);
      guess->spend[probe] = guess->square[probe] = 0;
      if (times * sum - error > room) low = at;
      else if (times * sum + error < room && at < high) high = at;
    }
    guess->low = low;
    guess->high = high > low ? high : guess->high;
  }
};

// The bracket in the terms of rows and of slopes.
template <class T>
struct Place {
  const Survey* survey;
  Guess<T>* guess;
  bool or_all;

  BIDFCL_HD void operator()(std::int64_t) const {
    const double low = guess->low, high = guess->high;
    guess->sweeps = 0;
    if (!survey->usable()) return;
    const Scales scales = survey->scales();
    const int to_fixed = scales.value.shift - scales.cost.shift;
    guess->below = std::ldexp(low * (1 - kSlack), to_fixed);
    guess->above = std::ldexp(high * (1 + kSlack), to_fixed);
    if (!(low < high) || !(high < std::numeric_limits<double>::infinity()) || !place_ends(low, high, guess->ends)) {
      if (!or_all) return;
      guess->low = guess->below = 0;
      guess->high = guess->above = std::numeric_limits<double>::infinity();
      return;
    }
    guess->sweeps = 1;
    guess->ends.doubt_low = doubt_at<T>(std::fabs(static_cast<double>(guess->ends.low)), scales.value, scales.cost);
    guess->ends.doubt_high = doubt_at<T>(static_cast<double>(guess->ends.high), scales.value, scales.cost);
  }
};

template <class T>
struct Begin {
  Guess<T>* guess;
  double low, high;

  BIDFCL_HD void operator()(std::int64_t) const {
    *guess = {};
    guess->low = low;
    guess->high = high;
  }
};

template <class Once>
void once(const Device& device, std::int64_t count, const Once& what) {
  launch(device, plan_rows(1, count, 0, -1, limits_of(device)), Each<Once>(what, count));
}

}  // namespace

template <class T>
void bracket(const Device& device, const Instances<T>& in, const Survey* survey, const Asked& asked, Guess<T>* guess) {
  once(device, 1, Begin<T>{guess, asked.low, asked.high});
  if (asked.sample > 0) {
    const std::int64_t threads = (asked.sample + kRows - 1) / kRows * kProbes;
    const auto sample = static_cast<double>(asked.sample), users = static_cast<double>(in.most);
    for (int round = 0; round < kRounds; ++round) {
      once(device, threads, Probe<T>{in, survey, guess, asked.sample});
      once(device, 1, Narrow<T>{survey, guess, asked.budget, asked.deviations, sample, users});
    }
  }
  once(device, 1, Place<T>{survey, guess, asked.or_all});
}

template void bracket(const Device&, const Instances<float>&, const Survey*, const Asked&, Guess<float>*);
template void bracket(const Device&, const Instances<double>&, const Survey*, const Asked&, Guess<double>*);

}  // namespace bidfcl
