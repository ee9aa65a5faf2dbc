#include "chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../machine/for_rows.h"
#include "../machine/lender.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kSampled = 256;  // users side by side
constexpr std::int64_t kPlaces = 32;    // so many times
constexpr int kCells = 16384;
constexpr int kLeastShift = 6;  // a bucket is wide beside the rounding of a slope
// The sample's idea of the range, wider by this share of the money.
constexpr double kWider = 0.2;
constexpr std::int64_t kFlat = 1024;  // one edge in so many may be flatter than all buckets but the last

// Positions that are spread evenly, off any period the data may have.
std::vector<std::int64_t> spread(std::int64_t count, std::int64_t users, std::int64_t length) {
  std::vector<std::int64_t> out;
  for (std::int64_t k = 0; k < count; ++k) {
    const double golden = 0.6180339887498949 * static_cast<double>(k);
    const double at = (static_cast<double>(k) + golden - std::floor(golden)) / static_cast<double>(count);
    out.push_back(static_cast<std::int64_t>(at * static_cast<double>(users - length)));
  }
  return out;
}

}  // namespace

Chart::Chart(const InstanceView<float>& instance, const Largest& largest, const std::vector<double>& budgets,
             int threads) {
  int exponent = 0;
  std::frexp(largest.cost, &exponent);
  job_ = {{instance, {}, 0}, std::ldexp(1.0f, 29 - exponent), true};
  read(spread(kPlaces, instance.users, kSampled), kSampled, threads);
  const auto ends = std::minmax_element(budgets.begin(), budgets.end());
  choose_range(*ends.first, *ends.second, static_cast<double>(rows_) / static_cast<double>(instance.users));

  odd_ = static_cast<double>(totals_.odd) / static_cast<double>(rows_);
  job_.find_odd = false;
  totals_ = {};
  std::vector<std::int64_t> chunks;
  const std::int64_t chunk = users_at_a_time();
  for (std::int64_t begin = 0; begin < instance.users; begin += chunk) chunks.push_back(begin);
  read(chunks, chunk, threads);
}

void Chart::read(const std::vector<std::int64_t>& begins, std::int64_t users, int threads) {
  struct Worker {
    std::vector<ChartCell> cells;
    ChartTotals totals;
    std::int64_t rows = 0;
  };
  const auto count = static_cast<std::size_t>(job_.climb.map.count);
  Lender<Worker> workers;
  for_chunks(static_cast<std::int64_t>(begins.size()), 1, threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
    const typename Lender<Worker>::Loan worker(workers);
    worker->cells.resize(count);
    const std::int64_t begin = begins[static_cast<std::size_t>(k)];
    const std::int64_t end = std::min(job_.climb.instance.users, begin + users);
    climb_kernels<float>().chart(job_, begin, end, worker->cells.data(), worker->totals);
    worker->rows += end - begin;
  });
  cells_.assign(count, {});
  for (const auto& worker : workers.all()) {
    totals_.cost += worker->totals.cost;
    totals_.odd += worker->totals.odd;
    rows_ += worker->rows;
    for (std::size_t b = 0; b < count; ++b) {
      cells_[b].cost += worker->cells[b].cost;
      cells_[b].edges += worker->cells[b].edges;
    }
  }
}

// The money for edges, of a share of the users.
double Chart::room(double budget, double share) const {
  return budget * share * static_cast<double>(job_.factor) - static_cast<double>(totals_.cost);
}

// From a sample over all slopes there are to a map that is fine where the budgets run out.
void Chart::choose_range(double least, double most, double share) {
  const double least_room = room(least, share) * (1 - kWider), most_room = room(most, share) * (1 + kWider);
  int high = 0, low = -1, lowest = -1;
  double spend = 0;
  std::int64_t edges = 0, below = 0;
  for (const ChartCell& cell : cells_) edges += cell.edges;
  // The least slopes of all may lie many octaves below the others: a few edges there share a bucket.
  while (lowest + 1 < job_.climb.map.count && below * kFlat <= edges)
    below += cells_[static_cast<std::size_t>(++lowest)].edges;
  for (int b = job_.climb.map.count - 1; b >= 0; --b) {
    const ChartCell& cell = cells_[static_cast<std::size_t>(b)];
    if (cell.edges == 0) continue;
    spend += static_cast<double>(cell.cost);
    if (high == 0 || spend <= least_room) high = b + 1;
    if (low < 0 && spend > most_room) low = b;
  }
  if (high == 0) return;  // no edges at all
  const FloatBuckets wide = job_.climb.map;
  const float top = wide.floor(std::min(high + 1, wide.count - 1)), bottom = wide.floor(low >= 0 ? low : lowest);
  job_.climb.low = low >= 0 ? bottom : 0;
  job_.climb.map = FloatBuckets::between(bottom, top, kCells);
  job_.climb.map.shift = std::max(job_.climb.map.shift, kLeastShift);
}

std::vector<Zone> Chart::zones(const std::vector<double>& budgets, double spare) const {
  std::vector<Zone> out;
  std::int64_t all = 0, edges = 0;
  for (const ChartCell& cell : cells_) {
    all += cell.cost;
    edges += cell.edges;
  }
  // What rounding may hide: half a unit an edge and a user, and a relative part of each.
  const double off = static_cast<double>(edges + rows_) +
                     1e-6 * (static_cast<double>(all) + std::fabs(static_cast<double>(totals_.cost)));
  for (std::size_t k = 0; k < budgets.size(); ++k) {
    const double money = room(budgets[k], 1);
    if (money < off) continue;
    Zone zone{0, 0, 0, {k}};
    double spend = 0;
    std::int64_t below = 0;
    int b = job_.climb.map.count - 1;
    for (; b >= 0; --b) {
      const ChartCell& cell = cells_[static_cast<std::size_t>(b)];
      if (zone.high > 0 && spend > money + off) {
        if (static_cast<double>(below) >= spare) break;
        below += cell.edges;
      }
      spend += static_cast<double>(cell.cost);
      if (zone.high == 0 && spend > money - off) zone.high = b + 1;
    }
    zone.low = b + 1;
    if (zone.high == 0) {  // all is paid for
      if (job_.climb.low > 0) continue;
      zone.high = 1;
    }
    // A bucket more on each side keeps λ* clear of the ends.
    zone.high = std::min(zone.high + 1, job_.climb.map.count);
    zone.low = std::max(zone.low - 1, 0);
    out.push_back(zone);
  }
  std::sort(out.begin(), out.end(), [](const Zone& a, const Zone& b) { return a.high > b.high; });
  std::vector<Zone> apart;
  for (Zone& zone : out) {
    if (!apart.empty() && zone.high > apart.back().low) {
      apart.back().low = std::min(apart.back().low, zone.low);
      apart.back().budgets.push_back(zone.budgets[0]);
    } else {
      apart.push_back(std::move(zone));
    }
  }
  for (Zone& zone : apart)
    for (int b = zone.low; b < zone.high; ++b) zone.edges += cells_[static_cast<std::size_t>(b)].edges;
  return apart;
}

}  // namespace bidfcl
