// One user's loss, gradient and Hessian product, as a GPU's thread reckons them (csrc/cuda/losses/loss_rows.h over the
// row functions of csrc/core), against formulas that share nothing with them: the softmax's derivatives cell by cell in
// long double, and finite differences of the hard decision found by trying.

#include "cuda/losses/loss_rows.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

using Real = long double;
using Row = std::vector<Real>;

std::mt19937_64 random_bits(7);

Real uniform(Real low, Real high) { return low + (high - low) * static_cast<Real>(random_bits() % 100001) / 100000; }

struct Problem {
  int items, received;
  Row value, cost, value_turn, cost_turn;
  Real multiplier, price, temperature, value_label, cost_label, scale;
  bool pifd;

  Real weight() const { return value_label - price * cost_label; }
  Row scores() const {
    Row out;
    for (int j = 0; j < items; ++j) out.push_back(value[at(j)] - multiplier * cost[at(j)]);
    return out;
  }
  static std::size_t at(int j) { return static_cast<std::size_t>(j); }
};

int decision(const Row& score, const Row& cost) {
  int best = 0;
  for (int j = 1; j < static_cast<int>(score.size()); ++j) {
    const auto a = static_cast<std::size_t>(j), b = static_cast<std::size_t>(best);
    if (score[a] > score[b] || (score[a] == score[b] && cost[a] < cost[b])) best = j;
  }
  return best;
}

// What the decision loss of a row of weight 1 gains by the smallest change of one score that moves it, over that
// change.
Row unit(const Problem& p) {
  Row out(static_cast<std::size_t>(p.items), 0);
  if (!p.pifd) {
    out[Problem::at(p.received)] = -1;
    return out;
  }
  const Row score = p.scores();
  const auto loss = [&](const Row& s) { return decision(s, p.cost) == p.received ? Real(-1) : Real(0); };
  for (int j = 0; j < p.items; ++j) {
    Real least = INFINITY;
    for (int k = 0; k < p.items; ++k) {
      const Real gap = score[Problem::at(k)] - score[Problem::at(j)];
      if (k == j || std::fabs(gap) >= least) continue;
      Row moved = score;
      moved[Problem::at(j)] += gap * (1 + Real(1e-12));
      const Real change = loss(moved) - loss(score);
      if (change == 0) continue;
      least = std::fabs(gap);
      out[Problem::at(j)] = change / gap;
    }
  }
  return out;
}

struct Answer {
  Real loss = 0;
  Row gradient, hessian;  // in the scores; the product with the scores' movement
};

Answer expected(const Problem& p) {
  const Row score = p.scores(), g = unit(p);
  const auto n = static_cast<std::size_t>(p.items);
  Row share(n);
  const Real top = *std::max_element(score.begin(), score.end());
  Real sum = 0;
  for (std::size_t j = 0; j < n; ++j) sum += share[j] = std::exp((score[j] - top) / p.temperature);
  for (Real& x : share) x /= sum;
  Answer out;
  out.gradient.assign(n, 0);
  out.hessian.assign(n, 0);
  const auto delta = [](std::size_t a, std::size_t b) { return a == b ? Real(1) : Real(0); };
  for (std::size_t t = 0; t < n; ++t) {
    const Real weight = p.weight() * g[t];
    out.loss += weight * share[t];
    for (std::size_t j = 0; j < n; ++j) {
      out.gradient[j] += weight * share[t] * (delta(t, j) - share[j]) / p.temperature;
      for (std::size_t k = 0; k < n; ++k) {
        const Real second =
            share[t] * ((delta(t, j) - share[j]) * (delta(t, k) - share[k]) - share[j] * (delta(j, k) - share[k]));
        out.hessian[j] +=
            weight * second * (p.value_turn[k] - p.multiplier * p.cost_turn[k]) / (p.temperature * p.temperature);
      }
    }
  }
  return out;
}

Problem any_problem(bool pifd) {
  Problem p{};
  p.items = 2 + static_cast<int>(random_bits() % 12);
  p.received = static_cast<int>(random_bits() % static_cast<unsigned>(p.items));
  for (Row* row : {&p.value, &p.cost, &p.value_turn, &p.cost_turn})
    // Exact in float, and far enough apart.
    for (int j = 0; j < p.items; ++j) row->push_back(std::round(uniform(-2, 2) * 512) / 512);
  p.multiplier = std::round(uniform(0, 2) * 64) / 64;
  p.price = std::round(uniform(0, 2) * 64) / 64;
  p.temperature = std::round(uniform(0.5, 2) * 64) / 64;
  p.value_label = std::round(uniform(-1, 1) * 64) / 64;
  p.cost_label = std::round(uniform(-1, 1) * 64) / 64;
  p.scale = 0.5;
  p.pifd = pifd;
  return p;
}

template <class T>
void agree(const Problem& p, LossOrder order, const Row& found_value, const Row& found_cost, const LossSum& sum) {
  const Answer want = expected(p);
  // Gaps of scores enter PIFD inverted: it is as exact as they are.
  const Real room = (sizeof(T) == 4 ? Real(2e-5) : Real(1e-12)) * (p.pifd ? 50 : 1);
  const auto close = [&](Real a, Real b, Real size) { return std::fabs(a - b) <= room * (1 + size); };
  Real size = 0;
  for (const Row* row : {&want.gradient, &want.hessian})
    for (const Real x : *row) size = std::max(size, std::fabs(x));
  if (order != LossOrder::kHessian) CHECK(close(sum.total[kLoss], p.scale * want.loss, std::fabs(want.loss)));
  if (order == LossOrder::kValue) return;
  const Row& row = order == LossOrder::kGradient ? want.gradient : want.hessian;
  bool all = true;
  for (std::size_t j = 0; j < row.size(); ++j)
    all &= close(found_value[j], p.scale * row[j], size) &&
           close(found_cost[j], -p.multiplier * p.scale * row[j], 2 * size);
  CHECK(all);
}

template <class T, LossOrder Order>
void one(const Problem& p) {
  // As large as a warp's tile, to the byte: a sanitizer sees who steps out of it.
  std::vector<T> tile(static_cast<std::size_t>(LossRow<T>::bytes(Order, p.items)) / sizeof(T));
  const int lane = static_cast<int>(random_bits() % kWarp);
  const LossRow<T> at(reinterpret_cast<char*>(tile.data()), Order, p.items, lane);
  for (int j = 0; j < p.items; ++j) {
    at.value[j] = static_cast<T>(p.value[Problem::at(j)]);
    at.cost[j] = static_cast<T>(p.cost[Problem::at(j)]);
    if (Order != LossOrder::kHessian) continue;
    at.value_turn[j] = static_cast<T>(p.value_turn[Problem::at(j)]);
    at.cost_turn[j] = static_cast<T>(p.cost_turn[Problem::at(j)]);
  }
  const double multiplier = static_cast<double>(p.multiplier), price = static_cast<double>(p.price),
               scale = static_cast<double>(p.scale);
  LossJob<T> job{};
  job.items = p.items;
  job.multipliers = 1;
  job.multiplier = &multiplier;
  job.price = &price;
  job.scale = &scale;
  job.rule.family = p.pifd ? kPifdExact : kPpl;
  job.rule.temperature = static_cast<double>(p.temperature);
  LossSum sum;
  loss_row<T, Order>(job, at, 0, 0, p.received, static_cast<T>(p.value_label), static_cast<T>(p.cost_label), sum);
  const T* const to_value = Order == LossOrder::kHessian ? at.turn : at.unit;
  const T* const to_cost = Order == LossOrder::kHessian ? at.curve : at.share;
  agree<T>(p, Order, Row(to_value, to_value + p.items), Row(to_cost, to_cost + p.items), sum);
}

template <class T>
void all_orders(bool pifd) {
  for (int n = 0; n < 300; ++n) {
    const Problem p = any_problem(pifd);
    if (pifd) {  // a gap within float's rounding is no gap, and a tie has no difference to try
      Row score = p.scores();
      std::sort(score.begin(), score.end());
      bool apart = true;
      for (std::size_t j = 1; j < score.size(); ++j) apart &= score[j] - score[j - 1] > 1e-3L;
      if (!apart) continue;
    }
    one<T, LossOrder::kValue>(p);
    one<T, LossOrder::kGradient>(p);
    one<T, LossOrder::kHessian>(p);
  }
}

}  // namespace

int main() {
  for (const bool pifd : {false, true}) {
    all_orders<float>(pifd);
    all_orders<double>(pifd);
  }
  return finish();
}
