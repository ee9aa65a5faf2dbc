#include "zones.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "../../status.h"
#include "../machine/for_rows.h"
#include "../machine/lender.h"
#include "edges.h"
#include "lister.h"

namespace bidfcl {
namespace {

constexpr std::size_t kFewest = 6;  // budgets
constexpr std::int64_t kFewestUsers = 32768;
constexpr std::int64_t kMany = 16;          // one in so many users may be odd, or have an edge in a zone
constexpr int kBuckets = 128;               // of a zone
constexpr std::size_t kCached = 24u << 20;  // bytes of choices; more go past the cache

// What one thread has found.
struct Worker {
  std::vector<std::int64_t> value, cost;  // of a run
  std::vector<Totals> whole, true_scale;  // by zone, as in StairsRun
  std::vector<ZoneEdge> edges;
  std::vector<std::int32_t> odd;
  std::vector<Open> odd_users;
  std::vector<std::vector<Listed>> listed;  // by zone, of this chunk
  std::vector<std::vector<Bucket>> buckets;
  std::vector<std::int64_t> open;
  AlignedMemory moves;
  Lister lister;

  void prepare(std::size_t zones, int items) {
    if (!value.empty()) return;
    value.resize(zones + 2);
    cost.resize(zones + 2);
    whole.resize(zones + 2);
    true_scale.resize(zones + 2);
    edges.resize(static_cast<std::size_t>(kClimbed * (items - 1)));
    odd.resize(static_cast<std::size_t>(kClimbed));
    listed.resize(zones);
    buckets.assign(zones, std::vector<Bucket>(kBuckets));
    moves.room(moves_scratch(zones));
    lister.prepare(items);
  }
};

// The second reading.
class Stairs {
 public:
  Stairs(const Budgets& budgets, const Survey& survey, const Chart& chart, const std::vector<Zone>& zones)
      : instance_(budgets.instance), scales_(Scales::of(survey.largest)), zones_(zones), threads_(budgets.threads) {
    Largest room = survey.largest;
    room.value *= kRoom;
    room.cost *= kRoom;
    units_ = Scales::of(room);
    const auto least = [](const FixedPoint& scale) { return static_cast<float>(least_whole<float>(scale)); };
    const FloatBuckets& map = chart.climb().map;
    place_.assign(static_cast<std::size_t>(map.count), static_cast<std::int32_t>(zones.size()));
    int above = map.count;
    for (std::size_t z = 0; z < zones.size(); ++z) {
      std::fill(place_.begin() + zones[z].high, place_.begin() + above, static_cast<std::int32_t>(z));
      std::fill(place_.begin() + zones[z].low, place_.begin() + zones[z].high,
                static_cast<std::int32_t>(z + 1) | kInZone);
      above = zones[z].low;
      first_.push_back(static_cast<std::int32_t>(choice_.size()));
      for (const std::size_t k : zones[z].budgets) choice_.push_back(budgets.choice[k]);
    }
    first_.push_back(static_cast<std::int32_t>(choice_.size()));
    const bool aligned = std::all_of(choice_.begin(), choice_.end(), [](const std::int32_t* to) {
      return reinterpret_cast<std::uintptr_t>(to) % 64 == 0;
    });
    const std::size_t bytes = choice_.size() * static_cast<std::size_t>(instance_.users) * sizeof(std::int32_t);
    job_ = {chart.climb(),
            least(units_.value),
            least(units_.cost),
            units_.value.factor * units_.value.factor_too,
            units_.cost.factor * units_.cost.factor_too,
            place_.data(),
            static_cast<int>(zones.size()),
            choice_.data(),
            first_.data(),
            aligned && bytes >= kCached};
    for (const Zone& zone : zones) {
      PassResult result;
      result.bracket = bracket(zone);
      const int to_fixed = scales_.value.shift - scales_.cost.shift;
      result.map = SlopeBuckets::between(std::ldexp(result.bracket.low, to_fixed),
                                         std::ldexp(result.bracket.high, to_fixed), kBuckets);
      result.buckets.resize(kBuckets);
      results_.push_back(std::move(result));
      memories_.emplace_back().parts.resize(static_cast<std::size_t>(parts_of(instance_.users)));
    }
    read();
  }

  const Totals& before_all_edges() const { return base_; }
  PassResult& result(std::size_t zone) { return results_[zone]; }
  PassMemory& memory(std::size_t zone) { return memories_[zone]; }
  const Scales& scales() const { return scales_; }

 private:
  // Slopes were rounded where edges were put above, into or below the zone.
  Bracket bracket(const Zone& zone) const {
    const ClimbJob& climb = job_.climb;
    Bracket out{0, INFINITY};
    if (zone.low > 0 || climb.low > 0) out.low = static_cast<double>(climb.map.floor(zone.low)) * (1 + kClimbSlack);
    if (zone.high < climb.map.count) out.high = static_cast<double>(climb.map.floor(zone.high)) * (1 - kClimbSlack);
    return out;
  }

  void read() {
    Lender<Worker> workers;
    const WalkJob<float> walk = walk_job(instance_, scales_.value, scales_.cost, Bracket{0, INFINITY});
    for_chunks(instance_.users, users_at_a_time(), threads_, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
      const Lender<Worker>::Loan worker(workers);
      worker->prepare(zones_.size(), instance_.items);
      for (std::int64_t at = begin; at < end; at += kClimbed) climb(*worker, at, std::min(end, at + kClimbed));
      worker->lister.walk(walk, worker->odd_users.data(), static_cast<std::int64_t>(worker->odd_users.size()),
                          [&](const Open* users, std::int64_t count, const WalkRun& run, std::int64_t edges) {
                            take_odd(*worker, users, count, run, edges);
                          });
      worker->odd_users.clear();
      for (std::size_t z = 0; z < zones_.size(); ++z) {
        memories_[z].parts[static_cast<std::size_t>(k)].listed = worker->listed[z];
        worker->listed[z].clear();
      }
    });
    collect(workers);
  }

  void climb(Worker& worker, std::int64_t begin, std::int64_t end) {
    std::fill(worker.value.begin(), worker.value.end(), 0);
    std::fill(worker.cost.begin(), worker.cost.end(), 0);
    StairsRun run{
        worker.value.data(), worker.cost.data(), worker.edges.data(), worker.odd.data(), worker.moves.room(0), 0, 0};
    climb_kernels<float>().stairs(job_, begin, end, run);
    for (std::size_t z = 0; z < worker.value.size(); ++z) worker.whole[z].add({worker.value[z], worker.cost[z]});
    for (std::int64_t i = 0; i < run.odd_count; ++i) worker.odd_users.push_back({run.odd[i], -1});
    for (const ZoneEdge* e = run.edges; e != run.edges + run.edge_count; ++e) {
      const RowView<float> row = instance_.row(e->user);
      const std::int64_t value = scales_.value(row.value_at(e->stop)) - scales_.value(row.value_at(e->start));
      const std::int64_t cost = scales_.cost(row.cost_at(e->stop)) - scales_.cost(row.cost_at(e->start));
      const double slope = static_cast<double>(value) / static_cast<double>(cost);
      list(worker, e->zone, {slope, e->user, e->position, e->start, e->stop}, {value, cost});
    }
  }

  void list(Worker& worker, std::int32_t zone, const Listed& edge, const Totals& totals) const {
    const auto z = static_cast<std::size_t>(zone);
    worker.listed[z].push_back(edge);
    worker.buckets[z][static_cast<std::size_t>(results_[z].map(edge.slope))].add(totals, 1);
  }

  // Whole hulls of a run of odd users.
  void take_odd(Worker& worker, const Open* users, std::int64_t count, const WalkRun& run, std::int64_t edges) const {
    const int to_own = scales_.cost.shift - scales_.value.shift;
    const auto zones = static_cast<std::int32_t>(zones_.size());
    worker.true_scale[zones_.size() + 1].add(run.before);
    // A pack's edges come position by position.
    std::stable_sort(run.edges, run.edges + edges, [](const Edge& a, const Edge& b) { return a.user < b.user; });
    const Edge* e = run.edges;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int32_t user = users[i].user;
      std::int32_t at = run.at[i], zone = 0;
      const auto stand = [&](std::int32_t until) {
        for (; zone < until; ++zone)
          for (std::int32_t k = first_[static_cast<std::size_t>(zone)]; k < first_[static_cast<std::size_t>(zone) + 1];
               ++k)
            choice_[static_cast<std::size_t>(k)][user] = at;
      };
      for (; e != run.edges + edges && e->user == user; ++e) {
        const auto slope = static_cast<float>(std::ldexp(e->slope, to_own));
        if (slope < job_.climb.low) continue;
        const std::int32_t found = place_[static_cast<std::size_t>(job_.climb.map(slope))];
        const std::int32_t place = found & (kInZone - 1);
        worker.true_scale[static_cast<std::size_t>(place)].add({e->value, e->cost});
        if ((found & kInZone) != 0)
          list(worker, place - 1, {e->slope, user, e->position, e->start, e->stop}, {e->value, e->cost});
        stand(place);
        at = e->stop;
      }
      stand(zones);
    }
  }

  void collect(const Lender<Worker>& workers) {
    std::vector<Totals> bought(zones_.size() + 2);
    const int128 value = int128{1} << (scales_.value.shift - units_.value.shift);
    const int128 cost = int128{1} << (scales_.cost.shift - units_.cost.shift);
    for (const auto& worker : workers.all()) {
      for (std::size_t z = 0; z < bought.size(); ++z) {
        bought[z].add({worker->whole[z].value * value, worker->whole[z].cost * cost});
        bought[z].add(worker->true_scale[z]);
      }
      for (std::size_t z = 0; z < zones_.size(); ++z)
        for (std::size_t b = 0; b < kBuckets; ++b) {
          results_[z].buckets[b].totals.add(worker->buckets[z][b].totals);
          results_[z].buckets[b].edges += worker->buckets[z][b].edges;
        }
    }
    base_ = bought[zones_.size() + 1];
    Totals sum = base_;
    for (std::size_t z = 0; z < zones_.size(); ++z) {
      sum.add(bought[z]);
      results_[z].before = sum;
      results_[z].rows = instance_.users;
      for (const Bucket& bucket : results_[z].buckets) results_[z].open += bucket.edges;
    }
  }

  InstanceView<float> instance_;
  Scales scales_, units_;
  const std::vector<Zone>& zones_;
  int threads_;
  std::vector<std::int32_t> place_, first_;
  std::vector<std::int32_t*> choice_;
  StairsJob job_;
  std::vector<PassResult> results_;
  std::deque<PassMemory> memories_;
  Totals base_;
};

}  // namespace

bool worth_zones(const InstanceView<float>& in, std::size_t budgets, const Survey& survey) {
  const auto moderate = [](double x) { return x > std::ldexp(1.0, -30) && x < std::ldexp(1.0, 30); };
  return budgets >= kFewest && in.users >= kFewestUsers && in.is_side_by_side() && in.offsets == nullptr &&
         in.items >= 4 && in.items <= kMostClimbed && survey.largest.finite && moderate(survey.largest.value) &&
         moderate(survey.largest.cost);
}

std::vector<char> solve_in_zones(const Budgets& budgets, const Survey& survey, std::vector<Solution>& out) {
  const std::size_t count = budgets.amount.size();
  std::vector<char> done(count, 0);
  const Chart chart(budgets.instance, survey.largest, budgets.amount, budgets.threads);
  if (chart.odd() * kMany > 1) return done;
  std::vector<Zone> zones = chart.zones(budgets.amount, spare_edges(budgets.fill));
  zones.erase(std::remove_if(zones.begin(), zones.end(),
                             [&](const Zone& zone) { return zone.edges * kMany > budgets.instance.users; }),
              zones.end());
  if (zones.empty()) return done;
  Stairs stairs(budgets, survey, chart, zones);

  std::vector<char> in_zone(count, 0);
  for_chunks(static_cast<std::int64_t>(zones.size()), 1, budgets.threads,
             [&](std::int64_t at, std::int64_t, std::int64_t) {
               const auto z = static_cast<std::size_t>(at);
               for (const std::size_t k : zones[z].budgets) {
                 in_zone[k] = 1;
                 Solver<float> solver(budgets.instance, budgets.amount[k], budgets.fill, 1, budgets.choice[k],
                                      stairs.memory(z));
                 done[k] = solver.end_with(survey, stairs.result(z), chart.rows(), out[k]);
               }
             });
  const int128 least = stairs.before_all_edges().cost;
  for (std::size_t k = 0; k < count; ++k)
    if (!in_zone[k] && stairs.scales().cost.floor(budgets.amount[k]) < least) {
      Solver<float> solver(budgets.instance, budgets.amount[k], budgets.fill, 1, budgets.choice[k], stairs.memory(0));
      solver.end_infeasible(survey, least, chart.rows(), out[k]);
      done[k] = 1;
    }
  return done;
}

}  // namespace bidfcl
