#include "solver.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "../../status.h"
#include "../machine/for_rows.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kAll = 2048;    // so few users are a sample all together
constexpr std::int64_t kDirect = 256;  // so few users are all walked
constexpr std::int64_t kWarm = 16384;  // among fewer users, a bracket a 64th wide may leave too few edges for `fill`
constexpr std::int64_t kAskAll = 65536;
constexpr double kNear = 1.5;     // how far a good guess of λ* may be off
constexpr double kNearVague = 8;  // and a sample's where it says little
constexpr std::int64_t kPartsAtOnce = 16;
constexpr int kTries = 16;  // brackets; then everybody is walked

// A little inside a bracket: an edge this close to an end may have company among the users not listed.
constexpr double kInside = 1.0 / (1ull << 45);

// Edges of the buckets [low, high], steepest first. A bucket holds about one where they are few: what is left to sort
// are neighbours.
void sort_by_bucket(const SlopeBuckets& map, int low, int high, const std::vector<Edge>& edges,
                    std::vector<Edge>& sorted) {
  constexpr std::size_t kFew = 4096;
  sorted.resize(edges.size());
  const auto buckets = static_cast<std::size_t>(high - low + 1);
  if (edges.size() > kFew || edges.size() > 8 * buckets) {
    std::copy(edges.begin(), edges.end(), sorted.begin());
    std::sort(sorted.begin(), sorted.end(), Steeper());
    return;
  }
  std::vector<std::uint32_t> first(buckets + 1, 0);
  const auto place = [&](const Edge& e) { return static_cast<std::size_t>(high - map(e.slope)); };
  for (const Edge& e : edges) ++first[place(e) + 1];
  for (std::size_t b = 0; b < buckets; ++b) first[b + 1] += first[b];
  for (const Edge& e : edges) sorted[first[place(e)]++] = e;
  for (std::size_t k = 1; k < sorted.size(); ++k) {
    if (!Steeper()(sorted[k], sorted[k - 1])) continue;
    const Edge e = sorted[k];
    std::size_t at = k;
    for (; at > 0 && Steeper()(e, sorted[at - 1]); --at) sorted[at] = sorted[at - 1];
    sorted[at] = e;
  }
}

bool is_warm(double multiplier, std::int64_t users) {
  return multiplier > 0 && std::isfinite(multiplier) && users >= kWarm;
}

}  // namespace

template <class T>
Solver<T>::Solver(const InstanceView<T>& instance, double budget, bool fill, int threads, std::int32_t* choice,
                  PassMemory& memory)
    : instance_(instance),
      budget_asked_(budget),
      buckets_(instance.users > 65536  ? 1024
               : instance.users > 4096 ? 128
                                       : 64),
      fill_(fill),
      threads_(threads),
      choice_(choice),
      memory_(memory) {
  out_.multiplier = out_.value = out_.spend = out_.dual_bound = out_.gap = out_.least_budget = std::nan("");
  out_.value_unit = out_.cost_unit = std::nan("");
}

template <class T>
void Solver<T>::know(const Survey& survey) {
  survey_ = survey;
  scales_ = Scales::of(survey.largest);
  write_units(scales_, survey.largest, out_);
}

// Passes count whole numbers in units with room above `largest`, if there are such.
template <class T>
void Solver<T>::count_coarsely(const Largest& largest) {
  Largest room = largest;
  room.value *= kRoom;
  room.cost *= kRoom;
  counting_ = Scales::of(room);
  whole_ = can_count_whole<T>(counting_.value, counting_.cost);
  if (!whole_) counting_ = scales_;
}

// Largest magnitudes from the sample, so that the first pass can scan as well.
template <class T>
bool Solver<T>::guess() {
  constexpr double kSurprise = 16;  // how much larger than the sample's the largest may be
  // A double's digits leave no room for a guess; and what fits into the cache is soon read again.
  if (sizeof(T) != 4 || instance_.users <= kSample || instance_.open != nullptr) return false;
  guess_ = sample().largest();
  if (!guess_.finite || guess_.value == 0 || guess_.cost == 0) return false;
  guess_.value *= kSurprise;
  guess_.cost *= kSurprise;
  count_coarsely(guess_);
  return whole_;
}

template <class T>
Solution Solver<T>::run(double warm_start) {
  guessing_ = guess();  // then the first pass does the scan's work on the way
  if (!guessing_ && !look(std::isnan(warm_start) ? memory_.near : warm_start)) survey_now();
  search_on(warm_start);
  return out_;
}

// Bracket after bracket, until one holds all that matters.
template <class T>
void Solver<T>::search_on(double warm_start) {
  Bracket asked{0, INFINITY};
  for (; instance_.users > kDirect && tries_ < kTries && widened_ < 3; ++tries_) {
    if (!guessing_ && !survey_.largest.finite) break;
    asked = propose(tries_ == 0 ? warm_start : std::nan(""));
    if (!can_sweep<T>(asked)) break;
    PassResult result;
    if (pass(asked, false, result) && settle(result)) return;
  }
  if (guessing_) survey_now();
  if (!survey_.largest.finite) {
    out_.status = kNotFinite;
    return;
  }
  list_everybody(asked);
}

// After a pass: true if that is the end.
template <class T>
bool Solver<T>::settle(PassResult& result) {
  if (result.closed_user) {
    out_.status = kNoOpenTreatment;
    return true;
  }
  int128 listed = 0;
  for (const Bucket& b : result.buckets) listed += b.totals.cost;
  const Verdict verdict = search_.tell(result.bracket, result.before.cost + listed, result.before.cost);
  if (verdict == Verdict::kInside) {
    if (finish(result, result.bracket)) return true;
    spare_ *= 8;  // too little below λ* for `fill`
    ++widened_;
  } else if (tries_ > 0) {
    deviations_ *= 2;
  }
  memory_.daring = false;
  return false;
}

template <class T>
std::vector<Solution> Solver<T>::run_together(std::vector<Solver>& solvers, const Survey& survey,
                                              const double* warm_starts) {
  const auto count = static_cast<std::int64_t>(solvers.size());
  const int threads = solvers[0].threads_;
  std::vector<Bracket> asked(solvers.size(), Bracket{0, INFINITY});
  // A larger sample pays when many read it.
  if (solvers[0].instance_.users > kDirect) solvers[0].sample(kSample * std::min<std::int64_t>(2, count));
  const std::shared_ptr<const Sample<T>> shared = solvers[0].sample_;
  for_chunks(count, 1, threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
    Solver& each = solvers[static_cast<std::size_t>(k)];
    each.know(survey);
    each.count_coarsely(survey.largest);
    if (count > 4) each.buckets_ = 256;  // all of them together have to stay in cache
    if (each.instance_.users <= kDirect || !survey.largest.finite) return;
    each.sample_ = shared;
    asked[static_cast<std::size_t>(k)] = each.propose(warm_starts ? warm_starts[k] : std::nan(""));
  });
  std::vector<PassJob<T>> jobs;
  std::vector<PassMemory*> memories;
  std::vector<std::size_t> who;
  for (std::size_t k = 0; k < solvers.size(); ++k) {
    if (!can_sweep<T>(asked[k])) continue;
    jobs.push_back(solvers[k].pass_job(asked[k], false));
    memories.push_back(&solvers[k].memory_);
    who.push_back(k);
  }
  std::vector<PassResult> results;
  if (!jobs.empty()) results = run_passes(jobs, memories);
  std::vector<char> done(solvers.size(), 0);
  for_chunks(static_cast<std::int64_t>(who.size()), 1, threads, [&](std::int64_t at, std::int64_t, std::int64_t) {
    const auto k = static_cast<std::size_t>(at);
    Solver& each = solvers[who[k]];
    each.threads_ = 1;  // they are side by side already
    done[who[k]] = each.complete(jobs[k], results[k]) && each.settle(results[k]);
    each.threads_ = threads;
    ++each.tries_;
    std::vector<Part>().swap(each.memory_.parts);
  });
  std::vector<Solution> out;
  for (std::size_t k = 0; k < solvers.size(); ++k) {
    if (!done[k]) solvers[k].search_on(warm_starts ? warm_starts[k] : std::nan(""));
    out.push_back(solvers[k].out_);
  }
  return out;
}

// A small problem beside one like it: the reading that scans also says what is spent around the other's multiplier.
template <class T>
bool Solver<T>::look(double near) {
  // Lower than higher: the edges that `fill` needs lie below.
  const double own[kLooks] = {near / 1.4, near / 1.15, near, near * 1.15};
  const bool few = instance_.users > kDirect && instance_.users <= kAll;
  if (!few || !memory_.daring || !lies_side_by_side(instance_) || !(near > 0) || !std::isfinite(near)) return false;
  T multipliers[kLooks];
  for (int k = 0; k < kLooks; ++k) multipliers[k] = static_cast<T>(own[k]);
  ProbeTotals totals;
  const Largest largest = solver_kernels<T>().look(instance_.values(), instance_.costs(), instance_.users,
                                                   instance_.items, multipliers, totals);
  know({largest, costs_rounded(instance_, largest, threads_)});
  count_coarsely(largest);
  out_.rows_read += instance_.users;
  if (!interpolate(budget_asked_, spare(), own, totals, kLooks, seen_)) seen_ = {0, 0};
  return true;
}

template <class T>
void Solver<T>::survey_now() {
  std::vector<Largest> parts;
  know(survey(instance_, threads_, &parts));
  if (guess_.cost > 0) apart_ = dearest_users(instance_, parts, guess_.cost);
  guessing_ = false;
  count_coarsely(survey_.largest);
  out_.rows_read += instance_.users;
}

template <class T>
const Sample<T>& Solver<T>::sample(std::int64_t most) {
  if (!sample_) {
    const std::int64_t users = instance_.users;
    const std::int64_t size = users <= kAll ? users : std::min(most, std::max(kAll, users / 8));
    sample_ = std::make_shared<const Sample<T>>(instance_, size, threads_);
    out_.rows_read += sample_->size();
  }
  return *sample_;
}

template <class T>
double Solver<T>::spare() const {
  return fill_ ? spare_edges(true) * static_cast<double>(spare_) : 1;
}

// A bracket around λ*, read off a sample (or off a multiplier that the caller trusts).
template <class T>
Bracket Solver<T>::propose(double warm_start) {
  if (is_warm(warm_start, instance_.users)) return {warm_start * (1 - 1.0 / 64), warm_start * (1 + 1.0 / 64)};
  if (tries_ == 0 && seen_.high > 0) return seen_;
  const auto read_off = [&](const Sample<T>& rows, double near, double reach) {
    return rows.bracket(search_, budget_asked_, scales_.cost.nearest(search_.spend_at_anchor), deviations_, spare(),
                        near, reach, tries_ == 0 && memory_.daring);
  };
  Guess guess = read_off(sample(), std::isnan(warm_start) ? memory_.near : warm_start, kNear);
  // Where few users hold most of the money, or some cost is far beyond the sample's, that says little: everybody is
  // asked instead.
  const bool vague = guess.open > 1.0 / 8 && guess.doubt > 0.08;
  if ((vague || (surprised_ && apart_.empty()) || tries_ > 1) && instance_.users >= kAskAll &&
      lies_side_by_side(instance_)) {
    if (guessing_) survey_now();
    const double near = std::sqrt(guess.range.low * guess.range.high);
    guess = read_off(Sample<T>(instance_, instance_.users, threads_), near, vague ? kNearVague : kNear);
    out_.rows_read += instance_.users;
    asked_all_ = true;
  }
  if (tries_ > 0 && !can_sweep<T>(guess.range)) {  // step on from where it was missed
    if (search_.outer.low > 0) guess.range = {search_.outer.low, 4 * search_.outer.low};
    else if (std::isfinite(search_.outer.high)) guess.range = {search_.outer.high / 4, search_.outer.high};
  }
  return guess.range;
}

template <class T>
PassJob<T> Solver<T>::pass_job(const Bracket& bracket, bool everybody) {
  ++out_.sweeps;
  PassJob<T> job{};
  job.instance = instance_;
  job.bracket = bracket;
  job.buckets = buckets_;
  job.everybody = everybody;
  job.value_scale = counting_.value;
  job.cost_scale = counting_.cost;
  job.whole = whole_;
  job.guess = guessing_ ? &guess_ : nullptr;
  // What everybody was asked about, or a part has been wrong about before, no part shall narrow.
  job.budget = asked_all_ || tries_ > 0 ? std::nan("") : std::ldexp(budget_asked_, counting_.cost.shift);
  job.spare = spare();
  job.choice = choice_;
  job.threads = threads_;
  return job;
}

template <class T>
bool Solver<T>::pass(const Bracket& bracket, bool everybody, PassResult& out) {
  const PassJob<T> job = pass_job(bracket, everybody);
  out = std::move(run_passes<T>({job}, {&memory_})[0]);
  return complete(job, out);
}

// False if the bracket was given up; or if the pass was to scan as well and found larger numbers than it was prepared
// for, and now those are known.
template <class T>
bool Solver<T>::complete(const PassJob<T>& job, PassResult& out) {
  out_.active = out.open;
  out_.rows_read += out.rows;
  if (out.hopeless) {
    deviations_ *= 2;
    return false;
  }
  if (guessing_) {
    guessing_ = false;
    if (!out.usable) {
      survey_now();
      surprised_ = survey_.largest.cost > guess_.cost;
      // The few that the sample knows nothing of join it.
      if (!apart_.empty() && lies_side_by_side(instance_))
        sample_ = std::make_shared<const Sample<T>>(instance_, sample_->size(), threads_, apart_);
      else apart_.clear();
      return false;
    }
    know({out.largest, costs_rounded(instance_, out.largest, threads_)});
  }
  search_.budget = scales_.cost.floor(budget_asked_);
  bidfcl::complete(job, scales_.value, scales_.cost, out, memory_);
  return true;
}

template <class T>
Edge Solver<T>::exact(const Listed& e) const {
  const RowView<T> row = instance_.row(e.user);
  return {e.slope,
          scales_.value(row.value_at(e.stop)) - scales_.value(row.value_at(e.start)),
          scales_.cost(row.cost_at(e.stop)) - scales_.cost(row.cost_at(e.start)),
          e.user,
          e.position,
          e.start,
          e.stop};
}

// Where users are alike, a bucket may hold thousands of edges of one and the same slope. Those are bought in the order
// of users, so whole parts of the list can be: `room` runs out in part `first`, and up to `last` there is enough for
// `fill`.
template <class T>
typename Solver<T>::Ties Solver<T>::ties(const PassResult& pass, int bucket, int128 room, std::int64_t window) const {
  constexpr std::int64_t kMany = 8192;
  const std::size_t parts = memory_.parts.size();
  Ties out{bucket, 0, parts, {}, false, false};
  // A part at the end may hold users that were put off, out of their order.
  const bool in_order = parts == 0 || parts == static_cast<std::size_t>(parts_of(instance_.users));
  if (bucket < 0 || pass.buckets[static_cast<std::size_t>(bucket)].edges < kMany || !in_order) return out;

  const Listed* one = nullptr;
  for (std::size_t k = 0; k < parts && one == nullptr; ++k)
    for (const Listed& e : memory_.parts[k].listed)
      if (pass.map(e.slope) == bucket) {
        one = &e;
        break;
      }
  const Edge like = exact(*one);
  if (pass.map(one->slope * (1 + kInside)) != bucket || pass.map(one->slope * (1 - kInside)) != bucket) return out;
  std::vector<Bucket> sums(parts);
  std::atomic<bool> alike{true};
  for_chunks(static_cast<std::int64_t>(parts), kPartsAtOnce, threads_,
             [&](std::int64_t, std::int64_t begin, std::int64_t end) {
               for (std::int64_t k = begin; k < end && alike; ++k) {
                 Bucket& sum = sums[static_cast<std::size_t>(k)];
                 const Listed* last_seen = nullptr;
                 Edge e{};
                 memory_.parts[static_cast<std::size_t>(k)].each([&](const Listed& listed, std::int32_t) {
                   if (pass.map(listed.slope) != bucket) return;
                   if (&listed != last_seen) {
                     last_seen = &listed;
                     e = exact(listed);
                     if (compare_slopes(e.slope, e.value, e.cost, like.slope, like.value, like.cost) != 0)
                       alike = false;
                   }
                   sum.add({e.value, e.cost}, 1);
                 });
               }
             });
  if (!alike) return out;
  std::size_t first = 0;
  for (; sums[first].totals.cost <= room; ++first) {
    room -= sums[first].totals.cost;
    out.bought.add(sums[first].totals);
  }
  std::int64_t after = 0;
  std::size_t last = first + 1;
  for (; last < parts && after < window; ++last) after += sums[last].edges;
  out.found = true;
  out.first = first;
  out.last = last;
  out.enough = after >= window;
  return out;
}

// The exact end: buy the listed edges from the steepest down. False if the list may miss an edge that matters.
//
// Whole buckets are bought by their totals. The bucket where the money runs out, its neighbour above, and as many below
// as `fill` needs are sorted.
template <class T>
bool Solver<T>::finish(const PassResult& pass, const Bracket& bracket) {
  const std::vector<Bucket>& buckets = pass.buckets;
  const int top = static_cast<int>(buckets.size()) - 1;
  int128 room = search_.budget - pass.before.cost;
  int split_bucket = top;
  while (split_bucket >= 0 && buckets[split_bucket].totals.cost <= room) room -= buckets[split_bucket--].totals.cost;
  const bool all_fit = split_bucket < 0;
  if (all_fit && bracket.low > 0) return false;

  const std::size_t window = fill_ ? kFillWindow : 1;
  int high = std::min(top, split_bucket + 1), low = std::max(0, split_bucket);
  std::int64_t below = 0;
  for (; low > 0 && below < static_cast<std::int64_t>(window); below += buckets[low].edges) --low;

  const Ties tied = ties(pass, split_bucket, room, static_cast<std::int64_t>(window));
  if (tied.found) high = split_bucket;
  if (tied.enough) low = split_bucket;

  const std::size_t parts = memory_.parts.size();
  const int threads = pass.open > 16384 ? threads_ : 1;
  std::vector<std::vector<Edge>> close((parts + kPartsAtOnce - 1) / kPartsAtOnce);
  std::vector<Edge> edges;
  Totals plan;
  std::size_t split = 0, end = 0;
  for (;;) {
    // Buy what is above, and sort out what is close.
    for_chunks(static_cast<std::int64_t>(parts), kPartsAtOnce, threads,
               [&](std::int64_t k, std::int64_t begin, std::int64_t stop) {
                 std::vector<Edge>& mine = close[static_cast<std::size_t>(k)];
                 mine.clear();
                 for (std::int64_t k_part = begin; k_part < stop; ++k_part) {
                   const auto part = static_cast<std::size_t>(k_part);
                   memory_.parts[part].each([&](const Listed& e, std::int32_t user) {
                     const int bucket = pass.map(e.slope);
                     const bool tie = bucket == tied.bucket;
                     if (bucket > high || (tie && part < tied.first)) {
                       choice_[user] = e.stop;
                     } else if (bucket >= low && !(tie && part >= tied.last)) {
                       mine.push_back(exact(e));
                       mine.back().user = user;
                     }
                   });
                 }
               });
    if (close.size() == 1) {
      sort_by_bucket(pass.map, low, high, close[0], edges);
    } else {
      edges.clear();
      for (const auto& some : close) edges.insert(edges.end(), some.begin(), some.end());
      std::sort(edges.begin(), edges.end(), Steeper());
    }
    plan = pass.before;
    plan.add(tied.bought);
    for (int b = high + 1; b <= top; ++b) plan.add(buckets[b].totals);
    for (split = 0; split < edges.size() && plan.cost + edges[split].cost <= search_.budget; ++split) {
      plan.cost += edges[split].cost;
      plan.value += edges[split].value;
    }
    end = std::min(edges.size(), split + window);
    // Rounded slopes may be out of order where buckets meet: what was looked at must lie clear of the rest.
    const bool clear_above =
        all_fit || high == top || (split < edges.size() && pass.map(edges[split].slope * (1 + kInside)) <= high);
    const bool clear_below =
        low == 0 || (end == split + window && pass.map(edges[end - 1].slope * (1 - kInside)) >= low);
    if (clear_above && clear_below) break;
    high = clear_above || tied.found ? high : top;
    low = clear_below ? low : 0;
    for (const Part& part : memory_.parts)
      part.each_backwards([&](const Listed& e, std::int32_t user) { choice_[user] = e.start; });
  }

  // Is everything that matters on the list?
  const int to_own = counting_.cost.shift - counting_.value.shift;
  const auto slope = [&](std::size_t k) { return std::ldexp(edges[k].slope, to_own); };
  if (bracket.low > 0 && (end < split + window || slope(end - 1) < bracket.low * (1 + kInside))) return false;
  if (std::isfinite(bracket.high) && split < edges.size() && slope(split) > bracket.high * (1 - kInside)) return false;

  // A user's edges are bought in turn; only where rounding put a later one into a higher bucket is it there already.
  for (std::size_t k = 0; k < split; ++k)
    if (choice_[edges[k].user] == edges[k].start) choice_[edges[k].user] = edges[k].stop;

  const Ending ending{scales_, search_.budget, instance_.users, survey_.costs_rounded, fill_};
  const auto edge = [&](std::size_t k) -> const Edge& { return edges[k]; };
  end_plan(ending, edge, split, end, edges.size(), plan, choice_, out_);
  memory_.near = out_.multiplier;
  return true;
}

// All edges there are. `hint`, where λ* probably is, only makes the buckets finer there.
template <class T>
void Solver<T>::list_everybody(const Bracket& hint) {
  const bool useful = hint.low > 0 && std::isfinite(hint.high);
  PassResult all;
  pass(useful ? Bracket{hint.low / 4, hint.high * 4} : Bracket{0, INFINITY}, true, all);
  if (all.closed_user) {
    out_.status = kNoOpenTreatment;
    return;
  }
  if (all.before.cost > search_.budget) infeasible(all.before.cost);
  else finish(all, {0, INFINITY});
}

template <class T>
void Solver<T>::infeasible(int128 least) {
  out_.status = kInfeasibleBudget;
  out_.least_budget = scales_.cost.above(least);
}

template <class T>
bool Solver<T>::end_with(const Survey& survey, PassResult& pass, std::int64_t rows_before, Solution& out) {
  know(survey);
  counting_ = scales_;
  search_.budget = scales_.cost.floor(budget_asked_);
  out_.rows_read = rows_before + pass.rows;
  out_.active = pass.open;
  out_.sweeps = 1;
  if (!settle(pass)) return false;
  out = out_;
  return true;
}

template <class T>
void Solver<T>::end_infeasible(const Survey& survey, int128 least, std::int64_t rows_read, Solution& out) {
  know(survey);
  out_.rows_read = rows_read;
  infeasible(least);
  out = out_;
}

template class Solver<float>;
template class Solver<double>;

}  // namespace bidfcl
