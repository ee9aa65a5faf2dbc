// Charts of hull edges: zones hold the multipliers of their budgets, apart from each other, with edges to spare.

#define BIDFCL_GENERIC_ONLY
#include "../../csrc/cpu/machine/arch.cpp"
#include "../../csrc/cpu/machine/threads.cpp"
#include "../../csrc/cpu/solver/chart.cpp"
#include "../../csrc/cpu/solver/climb.cpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

constexpr std::int64_t kUsers = 20'011;
constexpr int kItems = 5;

struct Instance {
  std::vector<float> value, cost;

  explicit Instance(unsigned seed, float steepness = 1) {
    std::mt19937 random(seed);
    std::exponential_distribution<float> more(1);
    for (std::int64_t i = 0; i < kUsers; ++i) {
      float v = more(random), c = more(random);
      for (int j = 0; j < kItems; ++j) {
        value.push_back(v);
        cost.push_back(c);
        v += steepness * more(random) / static_cast<float>(j + 1);
        c += more(random);
      }
    }
  }
  InstanceView<float> view() const {
    return {value.data(), cost.data(), nullptr, kItems, 1, kItems, 1, 0, 0, kUsers, kItems};
  }
  double spend(double multiplier) const {
    double total = 0;
    for (std::size_t at = 0; at < value.size(); at += kItems) {
      std::size_t best = at;
      for (std::size_t k = at; k < at + kItems; ++k)
        if (value[k] - multiplier * cost[k] > value[best] - multiplier * cost[best]) best = k;
      total += cost[best];
    }
    return total;
  }
};

void zones_hold_their_budgets(float steepness) {
  const Instance instance(3, steepness);
  const double least = instance.spend(1e30), most = instance.spend(0);
  std::vector<double> budgets;
  for (int k = 19; k > 0; --k) budgets.push_back(least + (most - least) * k / 20);
  budgets.push_back(budgets[4]);
  budgets.push_back(least / 2);
  const Chart chart(instance.view(), {8, 16, 0, true}, budgets, 2);
  const std::vector<Zone> zones = chart.zones(budgets, 80);
  const FloatBuckets& map = chart.climb().map;
  std::size_t placed = 0;
  int above = map.count + 1;
  for (const Zone& zone : zones) {
    CHECK(zone.low < zone.high && zone.high <= above);
    above = zone.low;
    CHECK(zone.edges >= 80 && zone.edges < 1500 * static_cast<std::int64_t>(zone.budgets.size()));
    for (const std::size_t k : zone.budgets) {
      CHECK(k + 1 < budgets.size());  // the last pays for nothing
      CHECK(instance.spend(map.floor(zone.low)) >= budgets[k]);
      CHECK(instance.spend(map.floor(zone.high)) <= budgets[k]);
      ++placed;
    }
  }
  CHECK(placed == budgets.size() - 1);
}

void floats_keep_their_order_in_buckets() {
  const FloatBuckets map = FloatBuckets::between(0.25f, 16, 1000);
  for (int b = 1; b < map.count; ++b) {
    const float floor = map.floor(b);
    CHECK(map(floor) == b && map(std::nextafter(floor, 0.0f)) == b - 1);
  }
  CHECK(map(1e-30f) == 0 && map(1e30f) == map.count - 1);
}

}  // namespace

int main() {
  floats_keep_their_order_in_buckets();
  zones_hold_their_budgets(1);
  zones_hold_their_budgets(1e-6f);
  return finish();
}
