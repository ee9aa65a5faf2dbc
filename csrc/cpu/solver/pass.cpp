#include "pass.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <limits>

#include "../../core/bracket.h"
#include "../machine/for_rows.h"
#include "edges.h"
#include "narrow.h"
#include "sample.h"

namespace bidfcl {
namespace {

// Takes in one run of walked users: their choices at the high end, and their edges. `moved`: what slopes are multiplied
// with to be in the units of `map`.
void take(const WalkRun& run, std::int64_t edges, const Open* users, std::int64_t count, double moved,
          const SlopeBuckets& map, std::int32_t* choice, PassWorker& worker) {
  worker.before.add(run.before);
  for (std::int64_t i = 0; i < count; ++i) {
    if (run.at[i] == kPutOff) worker.put_off.push_back({users[i].user, -1});
    else choice[users[i].user] = run.at[i];
  }
  for (const Edge* e = run.edges; e != run.edges + edges; ++e) {
    const double slope = e->slope * moved;
    worker.buckets[static_cast<std::size_t>(map(slope))].add({e->value, e->cost}, 1);
    worker.listed_cost += static_cast<double>(e->cost);
    worker.listed.push_back({slope, e->user, e->position, e->start, e->stop});
  }
}

// What the threads have added up, and a clean slate for the next time.
void collect(PassMemory& memory, PassResult& out) {
  for (const auto& worker : memory.workers.all()) {
    out.before.add(worker->before);
    for (std::size_t b = 0; b < worker->buckets.size(); ++b) {
      out.buckets[b].totals.add(worker->buckets[b].totals);
      out.buckets[b].edges += worker->buckets[b].edges;
    }
    out.open += worker->users;
    out.put_off.insert(out.put_off.end(), worker->put_off.begin(), worker->put_off.end());
    worker->buckets.clear();
    worker->put_off.clear();
    worker->before = {};
    worker->users = worker->waiting = 0;
  }
}

template <class T>
Bracket walked(const PassJob<T>& job, const Bracket& bracket) {
  return job.everybody ? Bracket{0, INFINITY} : bracket;
}

}  // namespace

template <class T>
bool can_sweep(const Bracket& bracket) {
  BracketEnds<T> ends{};
  return bracket.low >= 0 && bracket.low < bracket.high && std::isfinite(bracket.high) &&
         place_ends(bracket.low, bracket.high, ends);
}

template <class T>
bool can_count_whole(const FixedPoint& value_scale, const FixedPoint& cost_scale) {
  const auto holds = [](const FixedPoint& scale) {  // in one double, and one T
    return std::abs(scale.shift) < 1000 && std::isnormal(static_cast<T>(least_whole<T>(scale)));
  };
  return sizeof(T) == 4 && holds(value_scale) && holds(cost_scale);
}

namespace {

// One bracket's share of a reading.
template <class T>
struct Reading {
  const PassJob<T>& job;
  PassMemory& memory;
  SweepJob<T> sweep;
  WalkJob<T> walk;
  PassResult out;
  std::atomic<bool> closed_user{false};

  Reading(const PassJob<T>& asked, PassMemory& own, std::size_t chunks) : job(asked), memory(own) {
    WholeNumbers<T> whole;
    if (job.whole) {
      const auto least = [](const FixedPoint& scale) { return static_cast<T>(least_whole<T>(scale)); };
      whole = {true, least(job.value_scale), least(job.cost_scale)};
    }
    sweep = {job.instance, {}, job.value_scale, job.cost_scale, whole, job.guess != nullptr, job.choice};
    look_into(job.bracket);
    out.map = SlopeBuckets::between(std::ldexp(job.bracket.low, to_fixed()), std::ldexp(job.bracket.high, to_fixed()),
                                    job.buckets);
    out.buckets.resize(static_cast<std::size_t>(job.buckets));
    memory.parts.resize(chunks);
    for (Part& part : memory.parts) part = {};
    spends.resize(chunks);
  }

  int to_fixed() const { return job.value_scale.shift - job.cost_scale.shift; }

  void look_into(const Bracket& bracket) {
    out.bracket = bracket;
    if (!job.everybody) {
      place_ends(bracket.low, bracket.high, sweep.ends);
      sweep.ends.doubt_low = doubt_at<T>(std::fabs(sweep.ends.low), job.value_scale, job.cost_scale);
      sweep.ends.doubt_high = doubt_at<T>(sweep.ends.high, job.value_scale, job.cost_scale);
    }
    walk = walk_job(job.instance, job.value_scale, job.cost_scale, walked(job, bracket));
    walk.whole = sweep.whole;
  }

  // Settles who can be of the users [begin, end), and keeps the others in mind. False if they cannot be counted; see
  // PassResult::usable.
  bool settle(std::int64_t begin, std::int64_t end, const T* value_columns, const T* cost_columns, void* scratch,
              PassWorker& worker, Largest& seen) {
    Open* open = worker.open.data() + worker.waiting;
    if (job.everybody) {
      for (std::int64_t i = begin; i < end; ++i) open[i - begin] = {static_cast<std::int32_t>(i), -1};
      worker.waiting += end - begin;
    } else {
      SweepJob<T> some = sweep;
      some.value_columns = value_columns;
      some.cost_columns = cost_columns;
      some.scratch = scratch;
      worker.waiting += solver_kernels<T>().sweep(some, begin, end, worker.before, open, seen);
    }
    return !job.guess || (seen.finite && seen.value <= job.guess->value && seen.cost <= job.guess->cost);
  }

  // Walks the others, one of each kind.
  void walk_open(Lister& lister, PassWorker& worker) {
    worker.users += worker.waiting;
    if (worker.alike.is_worth(job.instance, worker.waiting)) {
      worker.waiting = worker.alike.sort_out(job.instance, worker.open.data(), worker.waiting);
      for (std::int64_t i = 0; i < worker.waiting; ++i)
        job.choice[worker.open[static_cast<std::size_t>(i)].user] = kPutOff;
    }
    lister.walk(walk, worker.open.data(), worker.waiting,
                [&](const Open* users, std::int64_t n, const WalkRun& run, std::int64_t edges) {
                  take(run, edges, users, n, 1, out.map, job.choice, worker);
                  if (run.closed_user) closed_user = true;
                });
    worker.waiting = 0;
  }

  // What was found of one of a kind holds for its twins.
  std::vector<Kind> settle_twins(PassWorker& worker) {
    std::vector<Kind> kinds = worker.alike.take();
    if (kinds.empty()) return kinds;
    // A walk lists a pack of users position by position.
    std::stable_sort(worker.listed.begin(), worker.listed.end(),
                     [](const Listed& a, const Listed& b) { return a.user < b.user; });
    for (std::size_t k = 0, end; k < worker.listed.size(); k = end) {
      const std::int32_t user = worker.listed[k].user;
      for (end = k + 1; end < worker.listed.size() && worker.listed[end].user == user;) ++end;
      const auto kind = std::lower_bound(kinds.begin(), kinds.end(), user,
                                         [](const Kind& each, std::int32_t own) { return each.user < own; });
      if (kind == kinds.end() || kind->user != user) continue;
      kind->first = k;
      kind->last = end;
    }
    for (const Kind& kind : kinds) {
      const auto twins = static_cast<std::int64_t>(kind.twins.size());
      const std::int32_t at = job.choice[kind.user];
      if (at == kPutOff) {
        for (const std::int32_t user : kind.twins) worker.put_off.push_back({user, -1});
        continue;
      }
      for (const std::int32_t user : kind.twins) job.choice[user] = at;
      const RowView<T> row = job.instance.row(kind.user);
      const auto at_treatment = [&](int j) {
        return Totals{job.value_scale(row.value_at(j)), job.cost_scale(row.cost_at(j))};
      };
      const Totals chosen = at_treatment(at);
      worker.before.value += chosen.value * twins;
      worker.before.cost += chosen.cost * twins;
      for (std::size_t k = kind.first; k < kind.last; ++k) {
        const Listed& e = worker.listed[k];
        const Totals from = at_treatment(e.start), to = at_treatment(e.stop);
        const Totals edge{to.value - from.value, to.cost - from.cost};
        worker.buckets[static_cast<std::size_t>(out.map(e.slope))].add(edge, twins);
        worker.listed_cost += static_cast<double>(edge.cost) * static_cast<double>(twins);
      }
    }
    return kinds;
  }

  // Keeps what a worker has found in chunk k.
  void keep(std::int64_t k, PassWorker& worker) {
    const auto at = static_cast<std::size_t>(k);
    memory.parts[at].kinds = settle_twins(worker);
    memory.parts[at].listed = worker.listed;
    const double high = static_cast<double>(worker.before.cost - worker.at_start);
    spends[at] = {high, high + worker.listed_cost};
  }

  // After `chunks` of all users: the bracket can be much narrower for the others. What those chunks have listed is cut
  // down to it, as if it had been the bracket from the start.
  void narrow_after(const std::vector<std::int64_t>& chunks) {
    if (job.everybody || std::isnan(job.budget)) return;
    collect(memory, out);
    const double share = static_cast<double>(chunks.size()) * static_cast<double>(users_at_a_time()) /
                         static_cast<double>(job.instance.users);
    std::vector<double> high, low;
    for (const std::int64_t k : chunks) {
      high.push_back(spends[static_cast<std::size_t>(k)].high);
      low.push_back(spends[static_cast<std::size_t>(k)].low);
    }
    const BucketRange range = narrow(out.buckets, static_cast<double>(out.before.cost), share,
                                     std::max(deviation(high, share), deviation(low, share)), job.budget, job.spare);
    Bracket narrower = out.bracket;
    const int count = static_cast<int>(out.buckets.size());
    if (range.high < count) narrower.high = std::ldexp(out.map.floor(range.high), -to_fixed());
    if (range.low > 0) narrower.low = std::ldexp(out.map.floor(range.low), -to_fixed());
    if ((range.low == 0 && range.high == count) || !can_sweep<T>(narrower)) return;
    for (const std::int64_t k : chunks)
      if (!can_cut(memory.parts[static_cast<std::size_t>(k)], range)) return;
    for (const std::int64_t k : chunks) cut(memory.parts[static_cast<std::size_t>(k)], range);
    for (int b = 0; b < count; ++b) {
      Bucket& bucket = out.buckets[static_cast<std::size_t>(b)];
      if (b >= range.high) out.before.add(bucket.totals);
      if (b >= range.high || b < range.low) bucket = {};
    }
    look_into(narrower);
  }

  // Rounded slopes may put a user's later edge above an earlier one: not across the new ends.
  bool can_cut(const Part& whole, const BucketRange& range) const {
    const std::int64_t chunk = users_at_a_time();
    std::vector<char> before(static_cast<std::size_t>(chunk),
                             2);  // of a user's edge before: 2 above the range, 1 in it, 0 below
    for (const Listed& e : whole.listed) {
      const int bucket = out.map(e.slope);
      const char place = bucket >= range.high ? 2 : bucket >= range.low ? 1 : 0;
      char& last = before[static_cast<std::size_t>(e.user % chunk)];
      if (place > last) return false;
      last = place;
    }
    return true;
  }

  void cut(Part& part, const BucketRange& range) {
    part.each([&](const Listed& e, std::int32_t user) {
      if (out.map(e.slope) >= range.high) job.choice[user] = e.stop;
    });
    std::vector<Listed>& listed = part.listed;
    std::vector<std::size_t> kept(listed.size() + 1, 0);  // before each edge
    for (std::size_t k = 0; k < listed.size(); ++k) {
      const int bucket = out.map(listed[k].slope);
      const bool keep = bucket >= range.low && bucket < range.high;
      kept[k + 1] = kept[k] + (keep ? 1 : 0);
      if (keep) listed[kept[k]] = listed[k];
    }
    listed.resize(kept.back());
    for (Kind& kind : part.kinds) {
      kind.first = kept[kind.first];
      kind.last = kept[kind.last];
    }
  }

  // What a chunk's users spend at the two ends of the bracket, in units.
  struct Spend {
    double high, low;
  };
  std::vector<Spend> spends;
};

// From so many brackets on, transposing a block once pays.
constexpr std::size_t kWorthColumns = 3;

// Users transposed at a time: they stay in the nearest cache while every bracket has its turn.
constexpr std::int64_t kTransposed = 256;

}  // namespace

template <class T>
std::vector<PassResult> run_passes(const std::vector<PassJob<T>>& jobs, const std::vector<PassMemory*>& memories) {
  const InstanceView<T>& in = jobs[0].instance;
  const std::int64_t chunk = users_at_a_time();
  const auto chunks = static_cast<std::size_t>(parts_of(in.users));
  std::deque<Reading<T>> readings;
  for (std::size_t b = 0; b < jobs.size(); ++b) readings.emplace_back(jobs[b], *memories[b], chunks);
  const bool scan = jobs[0].guess != nullptr;
  const bool columns = jobs.size() >= kWorthColumns && !jobs[0].everybody && in.offsets == nullptr;
  const std::int64_t step = columns ? kTransposed : kBlock;
  const std::size_t cells = static_cast<std::size_t>(step) * static_cast<std::size_t>(in.items);
  std::vector<Largest> largest(scan ? chunks : 0);
  std::atomic<bool> usable{true};
  const auto read = [&](std::int64_t k) {
    const std::int64_t begin = k * chunk, end = std::min(in.users, begin + chunk);
    std::deque<Lender<PassWorker>::Loan> workers;
    for (Reading<T>& each : readings) {
      PassWorker& worker = *workers.emplace_back(each.memory.workers);
      worker.open.resize(kBlock);
      worker.buckets.resize(each.out.buckets.size());
      worker.listed.clear();
      worker.alike.clear();
      worker.listed_cost = 0;
      worker.at_start = worker.before.cost;
    }
    PassWorker& first = *workers.front();
    first.lister.prepare(in.items);
    T* value = columns ? static_cast<T*>(first.columns.room(2 * cells * sizeof(T))) : nullptr;
    T* cost = columns ? value + cells : nullptr;
    const std::size_t bytes = gather_scratch(in);
    void* scratch = bytes > 0 ? first.gathered.room(bytes) : nullptr;
    Largest ignored, &seen = scan ? largest[static_cast<std::size_t>(k)] : ignored;
    for (std::int64_t at = begin; at < end && usable; at += kBlock) {
      const std::int64_t stop = std::min(end, at + kBlock);
      for (std::int64_t some = at; some < stop; some += step) {
        const std::int64_t last = std::min(stop, some + step);
        if (columns) solver_kernels<T>().columns(in, some, last, value, cost, scratch);
        for (std::size_t b = 0; b < readings.size(); ++b)
          if (!readings[b].settle(some, last, value, cost, scratch, *workers[b], seen)) usable = false;
      }
      for (std::size_t b = 0; b < readings.size() && usable; ++b) readings[b].walk_open(first.lister, *workers[b]);
    }
    for (std::size_t b = 0; b < readings.size(); ++b) readings[b].keep(k, *workers[b]);
  };
  const std::vector<std::int64_t> first = first_chunks(static_cast<std::int64_t>(chunks), in.users, kSample);
  std::vector<std::int64_t> order = first;
  std::vector<char> is_first(chunks, 0);
  for (const std::int64_t k : first) is_first[static_cast<std::size_t>(k)] = 1;
  for (std::size_t k = 0; k < chunks; ++k)
    if (!is_first[k]) order.push_back(static_cast<std::int64_t>(k));
  const auto some = [&](std::size_t from, std::size_t to) {
    for_chunks(static_cast<std::int64_t>(to - from), 1, jobs[0].threads,
               [&](std::int64_t i, std::int64_t, std::int64_t) { read(order[from + static_cast<std::size_t>(i)]); });
  };
  some(0, first.size());
  bool hopeless = !first.empty() && usable;
  if (hopeless)
    for (Reading<T>& each : readings) {
      each.narrow_after(first);
      hopeless &= each.out.hopeless;
    }
  if (!hopeless) some(first.size(), order.size());

  std::vector<PassResult> out;
  for (Reading<T>& each : readings) {
    collect(each.memory, each.out);
    each.out.usable = usable;
    each.out.hopeless = hopeless;
    each.out.rows = hopeless ? static_cast<std::int64_t>(first.size()) * chunk : in.users;
    each.out.closed_user = each.closed_user;
    for (const Largest& some : largest) each.out.largest.join(some);
    out.push_back(std::move(each.out));
  }
  return out;
}

template <class T>
void complete(const PassJob<T>& job, const FixedPoint& value_scale, const FixedPoint& cost_scale, PassResult& result,
              PassMemory& memory) {
  const int128 value = int128{1} << (value_scale.shift - job.value_scale.shift);
  const int128 cost = int128{1} << (cost_scale.shift - job.cost_scale.shift);
  const auto finer = [&](Totals& totals) {
    totals.value *= value;
    totals.cost *= cost;
  };
  finer(result.before);
  for (Bucket& bucket : result.buckets) finer(bucket.totals);

  const std::vector<Open> users = std::move(result.put_off);
  result.put_off.clear();
  if (users.empty()) return;
  WalkJob<T> walk = walk_job(job.instance, value_scale, cost_scale, walked(job, result.bracket));
  walk.scattered = true;
  const double moved = static_cast<double>(cost) / static_cast<double>(value);
  const auto first = memory.parts.size(), count = users.size();
  memory.parts.resize(first + (count + kBlock - 1) / kBlock);
  std::atomic<bool> closed_user{false};
  for_chunks(static_cast<std::int64_t>(count), kBlock, job.threads,
             [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
               Lender<PassWorker>::Loan worker(memory.workers);
               worker->lister.prepare(job.instance.items);
               worker->buckets.resize(result.buckets.size());
               worker->listed.clear();
               worker->lister.walk(walk, users.data() + begin, end - begin,
                                   [&](const Open* some, std::int64_t n, const WalkRun& run, std::int64_t edges) {
                                     take(run, edges, some, n, moved, result.map, job.choice, *worker);
                                     if (run.closed_user) closed_user = true;
                                   });
               memory.parts[first + static_cast<std::size_t>(k)] = {worker->listed, {}};
             });
  result.closed_user |= closed_user;
  collect(memory, result);
}

template bool can_sweep<float>(const Bracket&);
template bool can_sweep<double>(const Bracket&);
template bool can_count_whole<float>(const FixedPoint&, const FixedPoint&);
template bool can_count_whole<double>(const FixedPoint&, const FixedPoint&);
template std::vector<PassResult> run_passes(const std::vector<PassJob<float>>&, const std::vector<PassMemory*>&);
template std::vector<PassResult> run_passes(const std::vector<PassJob<double>>&, const std::vector<PassMemory*>&);
template void complete(const PassJob<float>&, const FixedPoint&, const FixedPoint&, PassResult&, PassMemory&);
template void complete(const PassJob<double>&, const FixedPoint&, const FixedPoint&, PassResult&, PassMemory&);

}  // namespace bidfcl
