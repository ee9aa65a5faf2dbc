// A warp that shares a row (as tests/emulated imitates it) against one thread, against plain code that shares nothing
// with either; and what makes that possible: combines are associative and commutative.

#include "cuda/machine/warp_group.cuh"

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "core/group.h"
#include "core/limbs.h"
#include "core/select.h"
#include "core/walk.h"
#include "cuda/machine/numbers.h"

using namespace bidfcl;

namespace {

std::mt19937_64 random_bits(11);

// Few different numbers, so that ties are common.
template <class T>
T any() {
  return static_cast<T>(static_cast<int>(random_bits() % 17) - 8) / 4;
}

template <class T>
using BestIn = Best<T, std::int32_t>;

template <class T>
BestIn<T> nothing() {
  const T never = -std::numeric_limits<T>::infinity();
  return {never, never, std::numeric_limits<std::int32_t>::max()};
}

template <class T>
bool same(const BestIn<T>& a, const BestIn<T>& b) {
  return a.first == b.first && a.second == b.second && a.index == b.index;
}

template <class T>
BestIn<T> joined(BestIn<T> a, const BestIn<T>& b) {
  a.join(b);
  return a;
}

template <class T>
void bests() {
  for (int n = 0; n < 2000; ++n) {
    const int items = 1 + static_cast<int>(random_bits() % 100);
    std::vector<T> score;
    for (int j = 0; j < items; ++j) score.push_back(any<T>());
    const auto take = [&](BestIn<T>& part, int j) { part.take(score[static_cast<std::size_t>(j)], j); };
    const auto join = [](BestIn<T>& own, const BestIn<T>& other) { own.join(other); };
    const BestIn<T> serial = SerialGroup{}.reduce(items, nothing<T>(), take, join);
    const BestIn<T> warp = WarpGroup{}.reduce(items, nothing<T>(), take, join);
    CHECK(same(serial, warp));
    // By hand: the first of the largest, and the largest of the rest.
    int at = 0;
    for (int j = 1; j < items; ++j)
      if (score[static_cast<std::size_t>(j)] > score[static_cast<std::size_t>(at)]) at = j;
    T second = -std::numeric_limits<T>::infinity();
    for (int j = 0; j < items; ++j)
      if (j != at && score[static_cast<std::size_t>(j)] > second) second = score[static_cast<std::size_t>(j)];
    CHECK(warp.index == at && warp.first == score[static_cast<std::size_t>(at)] && warp.second == second);

    // Parts of one row: any order, any brackets.
    BestIn<T> part[3] = {nothing<T>(), nothing<T>(), nothing<T>()};
    for (int j = 0; j < items; ++j) part[random_bits() % 3].take(score[static_cast<std::size_t>(j)], j);
    CHECK(same(joined(part[0], part[1]), joined(part[1], part[0])));
    CHECK(same(joined(joined(part[0], part[1]), part[2]), joined(part[0], joined(part[1], part[2]))));
    CHECK(same(joined(joined(part[2], part[0]), part[1]), serial));
  }
}

// Both ends of a bracket, and whether a row is settled there.
template <class T>
void ends() {
  using Ends = EndChoices<T, std::int32_t>;
  const T never = -std::numeric_limits<T>::infinity();
  for (int n = 0; n < 2000; ++n) {
    const int items = 1 + static_cast<int>(random_bits() % 80);
    std::vector<T> value, cost;
    for (int j = 0; j < items; ++j) {
      value.push_back(any<T>());
      cost.push_back(any<T>());
    }
    const T low = any<T>(), high = low + T(1);
    Ends start{};
    start.high = {never, never, 0};
    start.low = never;
    const auto take = [&](Ends& part, int j) {
      const auto at = static_cast<std::size_t>(j);
      take_both<true, T, std::int32_t>(part, value[at], cost[at], low, high, j);
    };
    const auto join = [](Ends& own, const Ends& other) { own.join(other); };
    const Ends serial = SerialGroup{}.reduce(items, start, take, join),
               warp = WarpGroup{}.reduce(items, start, take, join);
    CHECK(serial.low == warp.low && serial.high.first == warp.high.first && serial.high.second == warp.high.second);
    const bool alone = serial.high.first > serial.high.second;
    CHECK(!alone || (serial.high.index == warp.high.index && serial.value == warp.value && serial.cost == warp.cost));
    T best_low = never, best_high = never;
    for (int j = 0; j < items; ++j) {
      const auto at = static_cast<std::size_t>(j);
      best_low = std::max(best_low, std::fma(-low, cost[at], value[at]));
      best_high = std::max(best_high, std::fma(-high, cost[at], value[at]));
    }
    CHECK(warp.low == best_low && warp.high.first == best_high);
  }
}

void limbs() {
  for (int n = 0; n < 2000; ++n) {
    Limbs part[3];
    int128 total = 0;
    for (int k = 0; k < 50; ++k) {
      const std::int64_t x = static_cast<std::int64_t>(random_bits()) >> (1 + random_bits() % 40);
      part[random_bits() % 3].take(x);
      total += x;
    }
    Limbs forward = part[0], backward = part[2];
    forward.join(part[1]);
    forward.join(part[2]);
    backward.join(part[1]);
    backward.join(part[0]);
    CHECK(forward.total() == total && backward.total() == total);
    CHECK(forward.low == backward.low && forward.high == backward.high);
  }
}

// A walk cut by a bracket, and one that stops at a split edge, against the whole hull.
void walks() {
  for (int n = 0; n < 3000; ++n) {
    const int items = 1 + static_cast<int>(random_bits() % 9);
    std::vector<std::int64_t> value, cost;
    for (int j = 0; j < items; ++j) {
      value.push_back(static_cast<std::int64_t>(random_bits() % 50));
      cost.push_back(static_cast<std::int64_t>(random_bits() % 20));
    }
    std::vector<double> slopes(static_cast<std::size_t>(items));
    FixedRow row{value.data(), cost.data(), slopes.data(), items};
    std::vector<Edge> hull;
    Edge edge{};
    edge.user = 3;
    for (int at = cheapest(row); next_edge(row, at, edge); at = edge.stop, ++edge.position) hull.push_back(edge);

    const double low = static_cast<double>(random_bits() % 6), high = low + static_cast<double>(random_bits() % 6);
    std::vector<Edge> seen;
    const int begin = walk_between(row, cheapest(row), low, high, [&](const Edge& e) { seen.push_back(e); });
    int expected = cheapest(row);
    std::size_t listed = 0;
    for (const Edge& e : hull) {
      if (e.slope > high) expected = e.stop;
      else if (e.slope >= low) {
        CHECK(listed < seen.size() && seen[listed].stop == e.stop && seen[listed].position == e.position);
        ++listed;
      }
    }
    CHECK(begin == expected && listed == seen.size());

    Edge split{};
    split.value = static_cast<std::int64_t>(1 + random_bits() % 9);
    split.cost = static_cast<std::int64_t>(1 + random_bits() % 5);
    split.slope = static_cast<double>(split.value) / static_cast<double>(split.cost);
    split.user = static_cast<std::int32_t>(2 + random_bits() % 3);
    int stands = cheapest(row);
    for (const Edge& e : hull)
      if (e.value * split.cost > split.value * e.cost ||
          (e.value * split.cost == split.value * e.cost && 3 < split.user))
        stands = e.stop;
    if (split.user != 3) CHECK(before_split(row, cheapest(row), 3, split) == stands);
    if (!hull.empty()) CHECK(before_split(row, cheapest(row), 3, hull.back()) == hull.back().start);
  }
}

}  // namespace

int main() {
  bests<float>();
  bests<double>();
  ends<float>();
  ends<double>();
  limbs();
  walks();
  return finish();
}
