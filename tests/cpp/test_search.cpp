// The search as a state machine, on made-up totals: no data, no threads. A falling step function stands for the spend.

#include "../../csrc/core/buckets.h"
#include "../../csrc/core/search.h"

#include <algorithm>
#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

// Spend at a multiplier: `steps[k]` of cost is bought by everyone whose slope is above the multiplier.
struct Market {
  std::vector<double> slope;  // falling
  std::vector<int128> cost;
  int128 least;

  int128 spend(double multiplier) const {
    int128 total = least;
    for (std::size_t k = 0; k < slope.size() && slope[k] > multiplier; ++k) total += cost[k];
    return total;
  }
  // The first slope whose edge does not fit; 0 if all do.
  double split(int128 budget) const {
    int128 total = least;
    for (std::size_t k = 0; k < slope.size(); ++k)
      if ((total += cost[k]) > budget) return slope[k];
    return 0;
  }
};

void bisect_like_a_driver() {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 300; ++trial) {
    Market market;
    const int steps = 1 + static_cast<int>(random() % 60);
    double slope = 1;
    // Totals of 10^12 users at the largest costs that fixed point has.
    const int128 user = static_cast<int128>(1) << 61;
    for (int k = 0; k < steps; ++k) {
      slope *= 0.5 + 0.5 * static_cast<double>(random() % 1000) / 1000;
      market.slope.push_back(slope);
      market.cost.push_back(user * static_cast<int128>(1 + random() % 1000000000000ull));
    }
    market.least = -user * static_cast<int128>(random() % 1000000000000ull);
    const int128 most = market.spend(0);
    Search search;
    search.budget = market.least + (most - market.least) / 1000 * static_cast<int128>(random() % 1100);
    const double truth = market.split(search.budget);

    // Ask for ever narrower brackets around a poor guess, as a driver with a bad sample would.
    double guess = static_cast<double>(random() % 1000) / 1000;
    for (int step = 0; step < 40; ++step) {
      Bracket asked{guess * 0.9, guess * 1.1};
      if (!(asked.low > search.outer.low)) asked.low = search.outer.low;
      if (!(asked.high < search.outer.high)) asked.high = search.outer.high;
      if (!(asked.low < asked.high)) break;
      const Verdict verdict = search.tell(asked, market.spend(asked.low), market.spend(asked.high));
      CHECK(search.outer.low <= truth || truth == 0);
      CHECK(truth <= search.outer.high);
      if (verdict == Verdict::kInside) guess = (asked.low + asked.high) / 2;
      if (verdict == Verdict::kTooLow) guess = asked.high * 1.5;
      if (verdict == Verdict::kTooHigh) guess = asked.low * 0.6;
    }
  }
}

void buckets_keep_the_order() {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 200; ++trial) {
    const auto number = [&] { return std::exp2(static_cast<double>(random() % 20000) / 100 - 100); };
    const double a = number(), b = number();
    const SlopeBuckets map =
        SlopeBuckets::between(std::min(a, b), std::max(a, b), 1 + static_cast<int>(random() % 300));
    double last = 0;
    std::vector<double> slopes(50);
    for (double& s : slopes) s = number();
    std::sort(slopes.begin(), slopes.end());
    int bucket = 0;
    for (double s : slopes) {
      CHECK(map(s) >= bucket && map(s) < map.count);
      CHECK(map(s) - bucket <= 1 || s > last * (1 + 1e-12));
      bucket = map(s);
      last = s;
    }
  }
}

}  // namespace

int main() {
  bisect_like_a_driver();
  buckets_keep_the_order();
  return finish();
}
