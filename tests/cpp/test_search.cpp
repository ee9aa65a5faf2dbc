// The search as a state machine, on made-up totals: no data, no threads. A falling step function stands for the spend.

#include "../../csrc/core/search.h"

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

void selection_agrees_with_sorting() {
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<int> items(random() % 300);
    for (int& x : items) x = 1 + static_cast<int>(random() % 50);
    long total = 0;
    for (int x : items) total += x;
    const long room = static_cast<long>(random() % static_cast<unsigned long>(total + 10));
    std::vector<int> sorted = items;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    std::size_t expected = 0;
    for (long left = room; expected < sorted.size() && sorted[expected] <= left; ++expected) left -= sorted[expected];
    const std::size_t found =
        first_beyond(items.begin(), 0, items.size(), std::greater<>(), [](int x) { return long{x}; }, room);
    CHECK(found == expected);
    if (found < items.size()) CHECK(items[found] == sorted[found]);
  }
}

void sample_brackets_hold_the_estimate() {
  std::mt19937_64 random(5);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<SampleEdge> edges(1 + random() % 500);
    double total = 0;
    for (SampleEdge& e : edges) {
      e = {1 + static_cast<double>(random() % 1000), 1 + static_cast<double>(random() % 9), 0};
      total += e.cost;
    }
    std::sort(edges.begin(), edges.end(), [](const auto& a, const auto& b) { return a.slope > b.slope; });
    const double target = total * static_cast<double>(random() % 120) / 100;
    std::size_t split = 0;
    double left = target;
    for (; split < edges.size() && edges[split].cost <= left; ++split) left -= edges[split].cost;
    const double at = split < edges.size() ? edges[split].slope : 0;
    const Bracket b = suggest(edges.data(), edges.size(), split, target, left, total * 0.02, 3, {0, INFINITY});
    CHECK(b.low <= at);
    CHECK(at <= b.high);
    CHECK(b.low < b.high);
    // A bracket never leaves what is proved already.
    const Bracket proved{b.low * 1.01 + 0.1, b.high * 0.99};
    const Bracket inner = suggest(edges.data(), edges.size(), split, target, left, total * 0.02, 3, proved);
    CHECK(inner.low >= proved.low && inner.high <= proved.high);
  }
}

}  // namespace

int main() {
  bisect_like_a_driver();
  selection_agrees_with_sorting();
  sample_brackets_hold_the_estimate();
  return finish();
}
