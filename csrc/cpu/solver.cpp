#include "solver.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>

#include "../status.h"
#include "for_rows.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kSample = 4096;  // users that a bracket is read off
constexpr std::int64_t kLeastSample = 512;
constexpr std::int64_t kDirect = 4096;  // so few users are finished without another sweep
constexpr std::int64_t kChunk = 8192;   // users a thread takes at a time
constexpr double kFirstHigh = 1 << 20;  // stands in for an infinite end, times the steepest sampled slope

// A little inside a bracket: an edge this close to an end may have company among the users not listed.
constexpr double kInside = 1.0 / (1ull << 45);

// The k-th of `samples` users spread over `count`: even, but off any period the data may have.
std::int64_t spread(std::int64_t k, std::int64_t samples, std::int64_t count) {
  const double golden = 0.6180339887498949 * static_cast<double>(k);
  const auto at = static_cast<std::int64_t>((static_cast<double>(k) + golden - std::floor(golden)) *
                                            static_cast<double>(count) / static_cast<double>(samples));
  return std::min(at, count - 1);
}

// Whether every number of type T down to `least` is a whole number of units.
template <class T>
bool whole(double least, const FixedPoint& scale) {
  return least == 0 || least >= std::ldexp(scale.nearest(1), std::numeric_limits<T>::digits - 1);
}

// An end of a bracket as a number of the row's own type, moved outwards; false if it has none.
template <class T>
bool outward(double x, double towards, T& out) {
  out = static_cast<T>(x);
  if (!std::isfinite(out)) return false;
  if (towards > 0 ? static_cast<double>(out) < x : static_cast<double>(out) > x)
    out = std::nextafter(out, static_cast<T>(towards > 0 ? INFINITY : 0));
  return std::isfinite(out);
}

}  // namespace

template <class T>
Solver<T>::Solver(const InstanceView<T>& instance, double budget, bool fill, int threads, std::int32_t* choice)
    : instance_(instance), budget_asked_(budget), fill_(fill), threads_(threads), choice_(choice) {
  out_.multiplier = out_.value = out_.spend = out_.dual_bound = out_.gap = out_.least_budget = std::nan("");
  out_.value_unit = out_.cost_unit = std::nan("");
}

template <class T>
void Solver<T>::know(const Survey& survey) {
  survey_ = survey;
  value_scale_ = FixedPoint::for_largest(survey.largest.value);
  cost_scale_ = FixedPoint::for_largest(survey.largest.cost);
  budget_ = cost_scale_.floor(budget_asked_);
  out_.value_unit = survey.largest.value > 0 ? value_scale_.nearest(1) : 0;
  out_.cost_unit = survey.largest.cost > 0 ? cost_scale_.nearest(1) : 0;
}

template <class T>
Solution Solver<T>::run(const Survey* survey, double warm_start) {
  Level top;
  top.all = true;
  std::vector<Level> levels(1, top);
  if (survey != nullptr) {
    know(*survey);
  } else if (!start_unsurveyed(levels, warm_start)) {
    levels.assign(1, top);
    know(bidfcl::survey(instance_, threads_));
    out_.rows_read += instance_.users;
  }
  if (!survey_.largest.finite) {
    out_.status = kNotFinite;
    return out_;
  }
  levels[0].search.budget = budget_;
  if (levels.size() == 1 && is_warm(warm_start))
    levels[0].search.deviations = kDeviations;  // the miss was not a sample's

  // Should a bracket prove too narrow for `fill`, a wider one is tried before everybody's edges are listed.
  for (const double wider : {1.0, 2.0}) {
    levels[0].search.deviations *= wider;
    narrow(levels, out_.sweeps == 0 ? warm_start : std::nan(""));
    if (levels.size() == 1) break;
    for (; levels.size() > 1; levels.pop_back())
      if (finish(levels.back())) return out_;
  }
  finish(levels[0]);
  return out_;
}

// Sample and sweep, until few users are open or nothing is gained.
template <class T>
void Solver<T>::narrow(std::vector<Level>& levels, double warm_start) {
  for (int step = 0; step < 24 && levels.back().count(instance_) > kDirect; ++step) {
    Level& level = levels.back();
    const Bracket outer = level.search.outer;
    const Bracket asked = propose(level, step == 0 ? warm_start : std::nan(""));
    if (!std::isfinite(asked.high) || asked.high <= level.search.beyond) break;
    if (asked.low <= outer.low && asked.high >= outer.high) break;
    Level next;
    if (!sweep(level, asked, next)) continue;
    const bool stuck = next.count(instance_) * 4 > level.count(instance_) * 3;
    levels.push_back(std::move(next));
    if (stuck) break;
  }
}

// The scan and the first sweep in one read. The scales are guessed from a sample, with room above. If every number
// turns out to lie within them and to be a whole number of units, the sums are exact, and only the unit changes.
template <class T>
bool Solver<T>::start_unsurveyed(std::vector<Level>& levels, double warm_start) {
  constexpr double kRoom = 256;
  constexpr std::size_t kGuess = 4;  // every fourth of the sample is enough for that
  Level& top = levels[0];
  if (sizeof(T) != 4 || instance_.users <= kDirect) return false;  // a double's digits leave no room for a guess
  Survey guess;
  const std::vector<Active> users = sample(top);
  for (std::size_t k = 0; k < users.size(); k += kGuess) {
    if (k + kGuess * kAhead < users.size()) prefetch(instance_, users[k + kGuess * kAhead].user);
    guess.largest.join(arch().kernels<T>().scan(instance_, users[k].user, users[k].user + 1));
  }
  if (!guess.largest.finite || guess.largest.value == 0 || guess.largest.cost == 0) return false;
  guess.largest.value *= kRoom;
  guess.largest.cost *= kRoom;
  know(guess);
  top.search.budget = budget_;
  const Bracket asked = propose(top, warm_start);
  if (!std::isfinite(asked.high) || (asked.low <= 0 && std::isinf(asked.high))) return false;
  bool surveyed = false;
  Level next;
  if (sweep(top, asked, next, &surveyed)) levels.push_back(std::move(next));
  return surveyed;
}

// Users spread over a level, as a sample.
template <class T>
std::vector<Active> Solver<T>::sample(const Level& level) const {
  const std::int64_t count = level.count(instance_), samples = std::min(kSample, std::max(kLeastSample, count / 8));
  std::vector<Active> users(static_cast<std::size_t>(samples));
  for (std::int64_t k = 0; k < samples; ++k) {
    const std::int64_t n = spread(k, samples, count);
    users[static_cast<std::size_t>(k)] = level.all ? Active{static_cast<std::int32_t>(n), -1, -1} : level.users[n];
  }
  return users;
}

// A bracket around λ*, read off a sample of the level's users (or off a multiplier that the caller trusts).
template <class T>
Bracket Solver<T>::propose(const Level& level, double warm_start) {
  const Bracket outer = level.search.outer;
  if (is_warm(warm_start)) return {warm_start * (1 - 1.0 / 64), warm_start * (1 + 1.0 / 64)};

  const std::vector<Active> users = sample(level);
  const std::int64_t count = level.count(instance_), samples = static_cast<std::int64_t>(users.size());
  const EdgeList list = this->list(users.data(), samples, outer, threads_);
  out_.rows_read += samples;

  // Each sampled user's spend so far, to learn how far a sample's total strays.
  std::vector<SampleEdge> edges(list.edges.size());
  std::vector<double> spend(static_cast<std::size_t>(samples), 0.0);
  const double unit = std::ldexp(1.0, -cost_scale_.shift);
  if (level.all)
    for (std::int64_t k = 0; k < samples; ++k)
      if (list.at[k] >= 0) spend[k] = instance_.row(users[k].user).cost_at(list.at[k]);
  const int to_own = cost_scale_.shift - value_scale_.shift;
  for (std::size_t e = 0, k = 0; e < edges.size(); ++e) {
    while (users[k].user != list.edges[e].user) ++k;
    edges[e] = {std::ldexp(list.edges[e].slope, to_own), static_cast<double>(list.edges[e].cost) * unit,
                static_cast<std::int32_t>(k)};
  }
  const double share = static_cast<double>(samples) / static_cast<double>(count);
  const double known = static_cast<double>(level.all ? list.cost : 0);
  const double target = (static_cast<double>(budget_ - (level.all ? 0 : level.spend_high)) * share - known) * unit;
  const std::size_t split = first_beyond(
      edges.data(), 0, edges.size(), [](const SampleEdge& a, const SampleEdge& b) { return a.slope > b.slope; },
      [](const SampleEdge& e) { return e.cost; }, target);
  double left = target;
  for (std::size_t k = 0; k < split; ++k) {
    left -= edges[k].cost;
    spend[edges[k].user] += edges[k].cost;
  }
  double sum = 0, squares = 0;
  for (double s : spend) {
    sum += s;
    squares += s * s;
  }
  const double n = static_cast<double>(samples);
  const double variance = std::max(0.0, squares - sum * sum / n) * (1 - share);
  const double spare = fill_ ? 1.25 * kFillWindow * share + 8 : 0;
  double steepest = 0;
  for (const SampleEdge& e : edges) steepest = std::max(steepest, e.slope);
  Bracket asked = suggest(edges.data(), edges.size(), split, target, left,
                          level.search.deviations * std::sqrt(variance), static_cast<std::size_t>(spare), outer);
  if (!std::isfinite(asked.high) && !edges.empty()) asked.high = steepest * kFirstHigh;
  return asked;
}

// One pass over the level's users at both ends of `asked`; true if λ* is inside, and then `next` is what stays open.
// With `surveyed`, the pass scans as well: that becomes true if the guessed scales served, and the true ones are known.
template <class T>
bool Solver<T>::sweep(Level& level, Bracket asked, Level& next, bool* surveyed) {
  SweepJob<T> job{instance_, level.list(), {}, value_scale_, cost_scale_, choice_};
  if (!outward(asked.low, -1, job.ends.low) || !outward(asked.high, +1, job.ends.high)) {
    level.search.beyond = INFINITY;  // beyond the type: finish from here
    return false;
  }
  asked = {static_cast<double>(job.ends.low), static_cast<double>(job.ends.high)};
  const auto doubt = [&](double multiplier) {
    const double units = std::ldexp(4.0, -value_scale_.shift) + multiplier * std::ldexp(4.0, -cost_scale_.shift);
    return std::nextafter(static_cast<T>(units), std::numeric_limits<T>::infinity());
  };
  job.ends.doubt_low = doubt(asked.low);
  job.ends.doubt_high = doubt(asked.high);

  const std::int64_t count = level.count(instance_);
  const std::size_t chunks = static_cast<std::size_t>((count + kChunk - 1) / kChunk);
  struct Part {
    SweepTotals settled;
    int128 low = 0, high = 0;  // spends of the active users at the two ends
    std::vector<Active> active;
    Largest largest;
    bool usable = true;
  };
  std::vector<Part> parts(chunks);
  const Kernels<T>& kernels = arch().kernels<T>();
  for_chunks(count, kChunk, threads_, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    Part& part = parts[static_cast<std::size_t>(k)];
    const std::unique_ptr<Active[]> found(new Active[static_cast<std::size_t>(end - begin)]);  // unwritten
    // To scan and sweep in one read of memory, blocks must stay in cache in between.
    const std::int64_t block = surveyed == nullptr ? end - begin : kBlock;
    std::int64_t open = 0;
    for (std::int64_t at = begin; at < end; at += block) {
      const std::int64_t stop = std::min(end, at + block);
      if (surveyed != nullptr) {
        part.largest.join(kernels.scan(instance_, at, stop));
        part.usable = part.largest.finite && part.largest.value <= survey_.largest.value &&
                      part.largest.cost <= survey_.largest.cost;
        if (!part.usable) return;
      }
      open += kernels.sweep(job, at, stop, part.settled, found.get() + open);
    }
    for (const Active* each = found.get(); each != found.get() + open; ++each) {
      const Active& a = *each;
      const RowView<T> row = instance_.row(a.user);
      if (a.low >= 0 && a.high >= 0) {
        part.low += cost_scale_(row.cost_at(a.low));
        part.high += cost_scale_(row.cost_at(a.high));
      } else {  // too close to call in floating point: walk the hull
        const EdgeList list = this->list(&a, 1, asked, 1);
        part.high += list.cost;
        part.low += list.cost;
        for (const Edge& e : list.edges) part.low += e.cost;
      }
    }
    part.active.assign(found.get(), found.get() + open);
  });
  out_.rows_read += count;
  ++out_.sweeps;

  next.all = false;
  next.value = level.value;
  next.cost = level.cost;
  int128 low = 0, high = 0;
  std::size_t active = 0;
  for (const Part& part : parts) {
    next.value += part.settled.value;
    next.cost += part.settled.cost;
    low += part.low;
    high += part.high;
    active += part.active.size();
  }
  if (surveyed != nullptr) {
    Survey truth;
    bool usable = true;
    for (const Part& part : parts) {
      truth.largest.join(part.largest);
      usable &= part.usable;
    }
    const FixedPoint value_guess = value_scale_, cost_guess = cost_scale_;
    if (!usable || !whole<T>(truth.largest.least_value, value_guess) || !whole<T>(truth.largest.least_cost, cost_guess))
      return false;
    know(truth);
    level.search.budget = budget_;
    next.value *= int128{1} << (value_scale_.shift - value_guess.shift);
    for (int128* sum : {&next.cost, &low, &high}) *sum *= int128{1} << (cost_scale_.shift - cost_guess.shift);
    *surveyed = true;
  }
  const Search before = level.search;
  const Verdict verdict = level.search.tell(asked, next.cost + low, next.cost + high);
  if (verdict == Verdict::kTooHigh) level.spend_high = next.cost + low;
  if (verdict != Verdict::kInside) return false;
  next.search = level.search;
  level.search = before;  // should the next level miss an edge, this one still knows of more
  next.search.deviations = kDeviations;
  next.spend_high = next.cost + high;
  next.users.reserve(active);
  for (const Part& part : parts) next.users.insert(next.users.end(), part.active.begin(), part.active.end());
  return true;
}

// The exact end: buy the listed edges from the steepest down. False if the list may miss an edge that matters.
template <class T>
bool Solver<T>::finish(const Level& level) {
  const std::int64_t count = level.count(instance_);
  const Bracket bracket = level.search.outer;
  const EdgeList list = this->list(level.list(), count, bracket, threads_);
  out_.rows_read += count;
  out_.active = count;
  out_.sweeps += level.all;  // a small problem is listed whole: its one pass
  if (list.closed_user) {
    out_.status = kNoOpenTreatment;
    return true;
  }
  int128 value = level.value + list.value, spend = level.cost + list.cost;
  if (spend > budget_) {
    if (!level.all || std::isfinite(bracket.high)) return retry(level);
    out_.status = kInfeasibleBudget;
    out_.least_budget = cost_scale_.above(spend);
    return true;
  }

  const std::vector<Edge>& edges = list.edges;
  std::vector<std::int32_t> order(edges.size());
  for (std::size_t k = 0; k < order.size(); ++k) order[k] = static_cast<std::int32_t>(k);
  const auto steeper = [&](std::int32_t a, std::int32_t b) { return Steeper()(edges[a], edges[b]); };
  const std::size_t split = first_beyond(
      order.begin(), 0, order.size(), steeper, [&](std::int32_t k) { return static_cast<int128>(edges[k].cost); },
      budget_ - spend);
  for (std::size_t k = 0; k < split; ++k) {
    spend += edges[order[k]].cost;
    value += edges[order[k]].value;
  }

  // Is everything that matters on the list? The top level lists all there is.
  const std::size_t window = fill_ ? std::min<std::size_t>(order.size() - split, kFillWindow) : 0;
  std::nth_element(order.begin() + split, order.begin() + split + window, order.end(), steeper);
  std::sort(order.begin() + split, order.begin() + split + window, steeper);
  const int to_own = cost_scale_.shift - value_scale_.shift;
  const auto slope = [&](std::size_t k) { return std::ldexp(edges[order[k]].slope, to_own); };
  if (bracket.low > 0) {
    const std::size_t needed = split + (fill_ ? kFillWindow : 1);
    if (needed > order.size() || slope(needed - 1) < bracket.low * (1 + kInside)) return retry(level);
  }
  if (std::isfinite(bracket.high) && split < order.size() && slope(split) > bracket.high * (1 - kInside))
    return retry(level);

  int128 bound = value;
  double multiplier = 0;
  if (split < order.size()) {
    const Edge& e = edges[order[split]];
    const int128 left = budget_ - spend;
    bound += (static_cast<int128>(e.value) * left + (e.cost - 1)) / e.cost;
    // Costs that were rounded up, and the budget down, each hide at most λ* times a unit.
    if (survey_.costs_rounded) bound += (static_cast<int128>(e.value) * (instance_.users + 1) + (e.cost - 1)) / e.cost;
    multiplier = slope_nearest(e.value, e.cost, value_scale_, cost_scale_);
  }

  for (std::int64_t k = 0; k < count; ++k) choice_[level.all ? k : level.users[k].user] = list.at[k];
  if (split < order.size()) {
    const Edge& stop = edges[order[split]];
    for (const Edge& e : edges)
      if (Steeper()(e, stop)) choice_[e.user] = e.stop;
  } else {
    for (const Edge& e : edges) choice_[e.user] = e.stop;
  }
  for (std::size_t k = split; k < split + window; ++k) {
    const Edge& e = edges[order[k]];
    if (choice_[e.user] != e.start || spend + e.cost > budget_) continue;
    choice_[e.user] = e.stop;
    spend += e.cost;
    value += e.value;
  }
  report(value, spend, bound, multiplier);
  return true;
}

// What a level cannot finish, the one above it does; the top one lists every edge there is.
template <class T>
bool Solver<T>::retry(const Level& level) {
  if (!level.all) return false;
  Level whole = level;
  whole.search.outer = {0, INFINITY};
  return finish(whole);
}

template <class T>
void Solver<T>::report(int128 value, int128 spend, int128 bound, double multiplier) {
  out_.status = kSolved;
  out_.multiplier = multiplier;
  out_.value = value_scale_.nearest(value);
  out_.spend = cost_scale_.nearest(spend);
  out_.dual_bound = value_scale_.above(bound);
  out_.gap = value_scale_.above(bound - value);
}

template <class T>
Survey survey(const InstanceView<T>& instance, int threads) {
  std::vector<Largest> parts(static_cast<std::size_t>((instance.users + kChunk - 1) / kChunk));
  for_chunks(instance.users, kChunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    parts[static_cast<std::size_t>(k)] = arch().kernels<T>().scan(instance, begin, end);
  });
  Survey out;
  for (const Largest& part : parts) out.largest.join(part);
  const FixedPoint scale = FixedPoint::for_largest(out.largest.cost);
  if (!out.largest.finite || whole<T>(out.largest.least_cost, scale)) return out;
  std::atomic<bool> broken{false};
  for_chunks(instance.users, kChunk, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    if (!broken && !arch().kernels<T>().whole_units(instance, scale, begin, end)) broken = true;
  });
  out.costs_rounded = broken;
  return out;
}

template class Solver<float>;
template class Solver<double>;
template Survey survey(const InstanceView<float>&, int);
template Survey survey(const InstanceView<double>&, int);

}  // namespace bidfcl
