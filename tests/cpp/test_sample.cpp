// Brackets read off a sample: they hold what they should nearly always, and say so when there is nothing to read.

#define BIDFCL_GENERIC_ONLY
#include "../../csrc/cpu/machine/arch.cpp"
#include "../../csrc/cpu/machine/threads.cpp"
#include "../../csrc/cpu/solver/kernels.cpp"
#include "../../csrc/cpu/solver/sample.cpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

struct Instance {
  std::vector<float> value, cost;
  int items;
  std::int64_t users;

  Instance(std::int64_t n, int m, unsigned seed)
      : value(static_cast<std::size_t>(n * m)), cost(value.size()), items(m), users(n) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(0.5f, 2);
    for (std::int64_t i = 0; i < n; ++i) {
      const float price = uniform(random), lift = uniform(random);
      for (int j = 0; j < m; ++j) {
        const float dose = static_cast<float>(j) / static_cast<float>(m);
        cost[static_cast<std::size_t>(i * m + j)] = price * dose * uniform(random);
        value[static_cast<std::size_t>(i * m + j)] = lift * (1 - std::exp(-3 * dose)) * uniform(random);
      }
    }
  }
  InstanceView<float> view() const {
    return {value.data(), cost.data(), nullptr, items, 1, items, 1, 0, 0, users, items};
  }

  // The spend of everybody's best choice.
  double spend(double multiplier) const {
    double total = 0;
    for (std::int64_t i = 0; i < users; ++i) {
      double best = -INFINITY, chosen = 0;
      for (int j = 0; j < items; ++j) {
        const std::size_t at = static_cast<std::size_t>(i * items + j);
        const double score = value[at] - multiplier * cost[at];
        if (score > best) {
          best = score;
          chosen = cost[at];
        }
      }
      total += chosen;
    }
    return total;
  }
};

void brackets_hold_nearly_always() {
  int held = 0, asked = 0;
  for (unsigned seed = 0; seed < 12; ++seed) {
    const int items = 2 + static_cast<int>(seed % 5) * 3;
    const Instance instance(20000, items, seed);
    const Sample<float> sample(instance.view(), 2048, 1);
    CHECK(sample.size() == 2048);
    for (const double multiplier : {0.2, 0.7, 2.0}) {
      const double budget = instance.spend(multiplier);
      const Bracket b = sample.bracket(Search{}, budget, 0, 3, 10, std::nan("")).range;
      CHECK(b.low < b.high && std::isfinite(b.high));
      ++asked;
      held += instance.spend(b.high) <= budget && budget <= instance.spend(b.low);
      CHECK(instance.spend(b.low) - instance.spend(b.high) < 0.15 * instance.spend(0));  // not merely wide
    }
  }
  CHECK(held >= asked - 2);
}

// Everybody is the sample: the bracket is narrow, wherever the search begins.
void a_whole_sample_is_sharp() {
  const Instance instance(1000, 8, 1);
  const Sample<float> sample(instance.view(), 1000, 1);
  const double budget = instance.spend(0.5);
  for (const double near : {std::nan(""), 0.5, 0.52, 30.0, 1e-9, 0.0}) {
    const Bracket b = sample.bracket(Search{}, budget, 0, 2.5, 0, near).range;
    CHECK(b.low <= 0.5 && 0.5 <= b.high * 1.001);
    CHECK(instance.spend(b.low) - instance.spend(b.high) < 0.08 * instance.spend(0));
  }
}

void what_is_known_already_counts() {
  const Instance instance(20000, 5, 3);
  const Sample<float> sample(instance.view(), 2048, 1);
  const double budget = instance.spend(0.5), anchor = 0.6;
  Search search;
  search.budget = 0;
  search.tell({anchor * 0.99, anchor}, -2, -1);  // λ* is below 0.594
  const Bracket b = sample.bracket(search, budget, instance.spend(search.anchor), 2.5, 10, std::nan("")).range;
  CHECK(b.high <= search.outer.high);
  CHECK(b.low < 0.5 && 0.5 < b.high);
}

void budgets_beyond_the_data() {
  const Instance instance(5000, 5, 4);
  const Sample<float> sample(instance.view(), 2048, 1);
  const Bracket none = sample.bracket(Search{}, -1e9, 0, 2.5, 10, std::nan("")).range;
  CHECK(none.low == 0 && std::isinf(none.high));
  const Bracket slack = sample.bracket(Search{}, 1e9, 0, 2.5, 10, std::nan("")).range;
  CHECK(slack.low == 0 && slack.high < 1e-3);
  Instance nothing(100, 5, 5);
  std::fill(nothing.cost.begin(), nothing.cost.end(), 0.0f);
  const Bracket free = Sample<float>(nothing.view(), 100, 1).bracket(Search{}, 1, 0, 2.5, 10, std::nan("")).range;
  CHECK(free.low == 0 && std::isinf(free.high));
}

// The multiplier at which everybody together spends `budget`, or a hair above it.
double multiplier_of(const Instance& instance, double budget) {
  double low = 0, high = 1e3;
  for (int k = 0; k < 60; ++k) (instance.spend((low + high) / 2) > budget ? low : high) = (low + high) / 2;
  return high;
}

void one_look_does_nearly_always() {
  int held = 0, looked = 0;
  std::mt19937 random(1);
  std::uniform_real_distribution<double> off(0.93, 1.07);
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Instance instance(503, 4 + static_cast<int>(seed % 3) * 2, seed);
    const double budget = instance.spend(0) * 0.4, truth = multiplier_of(instance, budget), near = truth * off(random);
    const double own[kLooks] = {near / 1.4, near / 1.15, near, near * 1.15};
    float multipliers[kLooks];
    std::copy(own, own + kLooks, multipliers);
    ProbeTotals totals;
    const Largest seen = solver_kernels<float>().look(instance.value.data(), instance.cost.data(), instance.users,
                                                      instance.items, multipliers, totals);
    const Largest scanned = solver_kernels<float>().scan(instance.view(), 0, instance.users);
    CHECK(seen.value == scanned.value && seen.cost == scanned.cost && seen.least_cost == scanned.least_cost);
    for (int k = 0; k < kLooks; ++k) CHECK(std::fabs(totals.spend[k] - instance.spend(own[k])) < 1e-4 * budget);
    Bracket found{};
    if (!interpolate(budget, 40, own, totals, kLooks, found)) continue;
    ++looked;
    held += instance.spend(found.low) >= budget && instance.spend(found.high) <= budget;
    CHECK(found.high < 1.4 * found.low);
  }
  CHECK(looked > 50 && held >= looked - 1);
}

void a_look_knows_what_it_does_not_see() {
  const double own[kLooks] = {1, 2, 3, 4};
  ProbeTotals totals;
  for (int k = 0; k < kLooks; ++k) totals.spend[k] = 100 - 10 * k;
  for (int k = 0; k + 1 < kLooks; ++k) totals.moved[k] = 50;
  Bracket found{};
  CHECK(interpolate(75, 10, own, totals, kLooks, found) && found.low > 2 && found.low < 3.4 && found.high > 3.5);
  CHECK(!interpolate(101, 10, own, totals, kLooks, found));  // below all multipliers
  CHECK(!interpolate(69, 10, own, totals, kLooks, found));   // above
  CHECK(!interpolate(75, 500, own, totals, kLooks, found));  // too few edges in sight
  totals.moved[2] = 1;
  CHECK(!interpolate(75, 10, own, totals, kLooks, found));  // one user makes the whole step
}

void who_is_apart_stands_for_one() {
  Instance instance(100'000, 5, 9);
  const std::size_t whale = 5 * 77'777;
  for (std::size_t j = 0; j < 5; ++j) {
    instance.cost[whale + j] = 20'000.0f * static_cast<float>(j);
    instance.value[whale + j] = 1e7f * static_cast<float>(j);
  }
  const double budget = 0.4 * instance.spend(0);
  const Sample<float> knowing(instance.view(), 8192, 1, {77'777});
  const Bracket found = knowing.bracket(Search{}, budget, 0, 2.5, 10, std::nan("")).range;
  CHECK(instance.spend(found.low) >= budget && instance.spend(found.high) <= budget);
}

}  // namespace

int main() {
  brackets_hold_nearly_always();
  a_whole_sample_is_sharp();
  what_is_known_already_counts();
  budgets_beyond_the_data();
  one_look_does_nearly_always();
  a_look_knows_what_it_does_not_see();
  who_is_apart_stands_for_one();
  return finish();
}
