// Edges by falling slope: the order of exact quotients, for any number of threads, whatever the slopes.

#include "../../csrc/cpu/machine/threads.cpp"
#include "../../csrc/cpu/solver/by_slope.cpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

using Draw = std::function<Rise(std::mt19937_64&)>;

Rise rise(std::int64_t value, std::int64_t cost) {
  return {static_cast<double>(value) / static_cast<double>(cost), value, cost};
}

std::int64_t below(std::mt19937_64& random, std::int64_t limit) {
  return 1 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(limit));
}

bool is_before(const Rise& a, const Rise& b) {
  return static_cast<int128>(a.value) * b.cost > static_cast<int128>(b.value) * a.cost;
}

void sorts(std::size_t count, const Draw& draw) {
  std::mt19937_64 random(count);
  std::vector<std::vector<Rise>> parts(count / 700 + 1);
  std::vector<Rise> right;
  for (std::size_t k = 0; k < count; ++k) {
    right.push_back(draw(random));
    parts[random() % parts.size()].push_back(right.back());
  }
  std::sort(right.begin(), right.end(), is_before);
  for (const int threads : {1, 2, 5, 16}) {
    std::vector<std::vector<Rise>> copy = parts;
    const Rises made = sorted_by_slope(copy, threads);
    CHECK(made.count == count);
    int128 value = 0, cost = 0, right_value = 0, right_cost = 0;
    for (std::size_t k = 0; k < count; ++k) {
      const Rise &a = made.all[k], &b = right[k];
      CHECK(static_cast<int128>(a.value) * b.cost == static_cast<int128>(b.value) * a.cost);
      value += a.value, cost += a.cost, right_value += b.value, right_cost += b.cost;
    }
    CHECK(value == right_value && cost == right_cost);
  }
}

}  // namespace

int main() {
  constexpr std::int64_t kLarge = std::int64_t{1} << 61;
  const std::vector<Draw> draws = {
      [](std::mt19937_64& random) { return rise(below(random, kLarge), below(random, kLarge)); },
      [](std::mt19937_64& random) { return rise(below(random, 9), below(random, 9)); },
      [](std::mt19937_64&) { return rise(6, 4); },
      // Slopes that doubles do not tell apart; the same beside a few that lie far away.
      [](std::mt19937_64& random) { return rise(kLarge - below(random, 900), kLarge - below(random, 900)); },
      [](std::mt19937_64& random) {
        return random() % 50 == 0 ? rise(below(random, 3), kLarge) : rise(kLarge - below(random, 90), kLarge);
      },
      [](std::mt19937_64& random) {
        return rise(std::int64_t{1} << random() % 61, below(random, std::int64_t{1} << random() % 61));
      }};
  for (const std::size_t count : {0, 1, 2, 25, 5000, 70'000})
    for (const Draw& draw : draws) sorts(count, draw);
  return finish();
}
