#include "sample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../machine/for_rows.h"

namespace bidfcl {
namespace {

// The k-th of `samples` users spread over `count`: even, but off any period the data may have.
std::int64_t spread(std::int64_t k, std::int64_t samples, std::int64_t count) {
  const double golden = 0.6180339887498949 * static_cast<double>(k);
  const auto at = static_cast<std::int64_t>((static_cast<double>(k) + golden - std::floor(golden)) *
                                            static_cast<double>(count) / static_cast<double>(samples));
  return std::min(at, count - 1);
}

// Neighbours come along: they are in the same pages.
constexpr std::int64_t kNeighbours = 4;

// The k-th sampled user of a sample whose first `part` rows are spread as evenly as all of them.
std::int64_t place(std::int64_t k, std::int64_t part, std::int64_t samples, std::int64_t count) {
  const std::int64_t group = k / kNeighbours, groups = part / kNeighbours, parts = samples / part;
  const std::int64_t turn = group % groups * parts + group / groups;
  return spread(turn, groups * parts, count / kNeighbours) * kNeighbours + k % kNeighbours;
}

// Of rows of unlike length, one in so many is thinned out, that the others need not be filled up to the longest.
constexpr std::int64_t kOutliers = 20;
constexpr std::int64_t kCells = 1 << 20;  // what a sample of such rows may take
constexpr std::int64_t kFewest = 64;      // users, though they take more

constexpr std::int64_t kPart = 512;  // rows that the first rounds look at
constexpr int kWidest = 21;          // powers of two to each side, where nothing is known
constexpr int kRounds = 8;

// Multipliers from low to high, in equal ratios.
void grid(const Bracket& range, double* multipliers) {
  const double ratio = std::pow(range.high / range.low, 1.0 / (kProbes - 1));
  multipliers[0] = range.low;
  for (int k = 1; k < kProbes; ++k) multipliers[k] = multipliers[k - 1] * ratio;
}

}  // namespace

// Margins: where a share of the users who move in a step has moved is uncertain by half the root of their number, and
// by how far spend is from a straight line.
bool interpolate(double budget, double spare, const double* multipliers, const ProbeTotals& totals, int count,
                 Bracket& out) {
  constexpr double kErrors = 3, kCurved = 0.05, kFewest = 8;
  const auto moved = [&](int k) { return static_cast<double>(totals.moved[k]); };
  const auto between = [&](int k, double part) {
    return multipliers[k] + part * (multipliers[k + 1] - multipliers[k]);
  };
  int k = 0;  // λ* lies between this multiplier and the next
  while (k + 1 < count && totals.spend[k + 1] > budget) ++k;
  if (totals.spend[0] <= budget || k + 1 == count || moved(k) < kFewest) return false;
  const double part = (totals.spend[k] - budget) / (totals.spend[k] - totals.spend[k + 1]);
  const double margin = kErrors * 0.5 / std::sqrt(moved(k)) + kCurved;
  out.high = part + margin < 1 ? between(k, part + margin) : multipliers[k + 1];
  double missing = spare;  // below λ*
  for (double above = part - margin; k >= 0; --k, above = 1) {
    if (above <= 0) continue;
    const double there = moved(k) * above;
    if (there >= missing) {
      out.low = between(k, above - missing / moved(k));
      return true;
    }
    missing -= there;
  }
  return false;
}

template <class T>
void Sample<T>::choose_size(std::int64_t size, std::int64_t users) {
  part_ = rows_ = size;
  if (size < users) {  // whole groups of neighbours, and whole parts
    part_ = std::min(size, kPart) / kNeighbours * kNeighbours;
    rows_ = size / part_ * part_;
  }
  share_ = static_cast<double>(rows_) / static_cast<double>(users);
}

// How wide all but the outliers are, and how many fit at that width.
template <class T>
void Sample<T>::choose_width(const InstanceView<T>& in) {
  constexpr int kLeast = 16 / static_cast<int>(sizeof(T));  // what is probed at once
  std::vector<int> widths(static_cast<std::size_t>(rows_));
  for (std::int64_t k = 0; k < rows_; ++k)
    widths[static_cast<std::size_t>(k)] = in.items_of(place(k, part_, rows_, in.users));
  const auto usual = widths.end() - 1 - rows_ / kOutliers;
  std::nth_element(widths.begin(), usual, widths.end());
  items_ = std::max(kLeast, *usual);
  choose_size(std::min(rows_, std::max(kFewest, kCells / items_)), in.users);
}

template <class T>
Sample<T>::Sample(const InstanceView<T>& in, std::int64_t size, int threads, const std::vector<std::int64_t>& apart)
    : value_(in.values()), cost_(in.costs()), items_(in.items), threads_(threads) {
  choose_size(size, in.users);
  if (in.offsets != nullptr) choose_width(in);
  for (const std::int64_t user : apart)
    for (int j = 0; j < items_; ++j) apart_.push_back(in.row(user).value_at(j));
  for (const std::int64_t user : apart)
    for (int j = 0; j < items_; ++j) apart_.push_back(in.row(user).cost_at(j));
  size = rows_;
  if (size == in.users && lies_side_by_side(in)) return;
  const std::size_t cells = static_cast<std::size_t>(size) * static_cast<std::size_t>(items_);
  memory_.resize(2 * cells);
  value_ = memory_.data();
  cost_ = memory_.data() + cells;
  const bool plain = in.is_plain() && in.offsets == nullptr;
  const std::size_t bytes = static_cast<std::size_t>(items_) * sizeof(T);
  for_chunks(size, 1024, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      if (k + kAhead < end) prefetch(in, place(k + kAhead, part_, size, in.users));
      const RowView<T> row = in.row(place(k, part_, size, in.users));
      T* value = memory_.data() + k * items_;
      T* cost = value + cells;
      if (plain) {
        std::memcpy(value, row.value, bytes);
        std::memcpy(cost, row.cost, bytes);
        continue;
      }
      for (int j = 0; j < items_; ++j) {
        // A shorter row's last treatment repeats, which changes nothing; a longer row is thinned out.
        const int at =
            row.items <= items_ ? std::min(j, row.items - 1) : static_cast<int>(std::int64_t{j} * row.items / items_);
        const bool open = row.open_at(at);
        value[j] = open ? row.value_at(at) : std::numeric_limits<T>::lowest();
        cost[j] = open ? row.cost_at(at) : 0;
      }
    }
  });
}

template <class T>
ProbeTotals Sample<T>::probe(const double* multipliers, std::int64_t rows) const {
  T own[kProbes];
  for (int k = 0; k < kProbes; ++k) own[k] = static_cast<T>(multipliers[k]);
  constexpr std::int64_t kChunk = 1 << 15;
  std::vector<ProbeTotals> parts(static_cast<std::size_t>((rows + kChunk - 1) / kChunk));
  for_chunks(rows, kChunk, threads_, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    solver_kernels<T>().probe(value_ + begin * items_, cost_ + begin * items_, end - begin, items_, own,
                              parts[static_cast<std::size_t>(k)]);
  });
  ProbeTotals out;
  for (const ProbeTotals& part : parts) out.add(part);
  if (apart_.empty()) return out;
  // As much of them as there is of all others; of their spend nothing is uncertain.
  ProbeTotals known;
  const auto users = static_cast<std::int64_t>(apart_.size()) / (2 * items_);
  solver_kernels<T>().probe(apart_.data(), apart_.data() + users * items_, users, items_, own, known);
  const double n = static_cast<double>(rows), share = share_ * n / static_cast<double>(rows_);
  for (int k = 0; k < kProbes; ++k) {
    const double more = known.spend[k] * share;
    out.squares[k] += (2 * out.spend[k] + more) * more / n;
    out.spend[k] += more;
  }
  return out;
}

// Narrows `range` round by round, by rows of which `part` holds so many; `wide`: all that is beyond it is possible too.
template <class T>
bool Sample<T>::narrow(const Wanted& wanted, std::int64_t rows, bool wide, Guess& guess) const {
  Bracket& range = guess.range;
  const double n = static_cast<double>(rows), share = share_ * n / static_cast<double>(rows_);
  const double target = wanted.target * n / static_cast<double>(rows_);
  bool high_found = false, low_found = false;
  double multipliers[kProbes];
  for (int round = 0; round < kRounds; ++round) {
    grid(range, multipliers);
    const ProbeTotals totals = probe(multipliers, rows);
    int high = kProbes, low = -1, middle = 0;
    while (middle < kProbes && totals.spend[middle] > target) ++middle;
    const int at = std::min(middle, kProbes - 1);
    const double variance = std::max(0.0, totals.squares[at] - totals.spend[at] * totals.spend[at] / n);
    const double deviation = wanted.deviations * std::sqrt(variance * (1 - share)) + 1e-5 * std::fabs(totals.spend[at]);
    for (int k = kProbes - 1; k >= 0 && totals.spend[k] <= target - deviation; --k) high = k;
    std::int64_t moved = 0;
    for (int k = std::min(middle - 1, kProbes - 2); k >= 0; --k) {
      if (k < middle - 1) moved += totals.moved[k];  // the step that λ* itself is in counts for nothing
      if (totals.spend[k] < target + deviation || static_cast<double>(moved) < wanted.spare * share) continue;
      low = k;
      break;
    }
    if (wanted.daring && !wide && interpolate(target, wanted.spare, multipliers, totals, kProbes, range)) return true;
    if (high == 0) {  // all of the range is too high
      range = {0, multipliers[0]};
      return wide;
    }
    high_found |= high < kProbes;
    low_found |= low >= 0;
    const Bracket before = range;
    if (high < kProbes) range.high = multipliers[high];
    if (low >= 0) range.low = multipliers[low];
    else if (wide && !low_found && high < kProbes) range.low = multipliers[high - 1];  // sharpen the high end alone
    if (!(range.low < range.high)) {
      range = before;
      break;
    }
    // Another round costs a look at every row; what it can save is walks, which cost some eight looks each.
    std::int64_t open = 0;
    for (int k = std::max(low, 0); k < std::min(high, kProbes - 1); ++k) open += totals.moved[k];
    guess.open = static_cast<double>(open) / n;
    guess.doubt = deviation / std::fabs(totals.spend[at]);
    const bool few = (static_cast<double>(open) - wanted.spare * share) * 8 < n * share;
    if (low_found && high_found && few) break;
    const double shrunk = std::log(range.high / range.low) / std::log(before.high / before.low);
    if (shrunk < 0.6) continue;
    if (share_ == 1 && rows == rows_) break;  // nothing is unknown: the spare edges keep it wide
    // What keeps the bracket wide is the sample's size now, not the grid: cut at the places in between, unless spend
    // falls there in a leap, as it does where many users are alike.
    const auto cut = [&](int above, double spend) {
      const double rise = totals.spend[above] - totals.spend[above + 1];
      const double part = rise > 0 ? (totals.spend[above] - spend) / rise : 1;
      return multipliers[above] + std::fmin(1.0, std::fmax(0.0, part)) * (multipliers[above + 1] - multipliers[above]);
    };
    Bracket sharper = range;
    if (high > 0 && high < kProbes) sharper.high = cut(high - 1, target - deviation);
    if (low >= 0 && low + 1 < kProbes && totals.spend[low + 1] < target + deviation &&
        static_cast<double>(moved - totals.moved[low]) >= wanted.spare * share)
      sharper.low = cut(low, target + deviation);
    if (!(sharper.low < sharper.high)) break;
    double ends[kProbes];
    grid(sharper, ends);
    const ProbeTotals there = probe(ends, rows);
    if (there.spend[kProbes - 1] <= target - 0.8 * deviation) range.high = sharper.high;
    if (there.spend[0] >= target + 0.8 * deviation) range.low = sharper.low;
    break;
  }
  if (!low_found && wide) range.low = 0;
  return high_found && (low_found || wide);
}

template <class T>
Guess Sample<T>::bracket(const Search& search, double budget, double spent, double deviations, double spare,
                         double near, double reach, bool daring) const {
  Wanted wanted{budget * share_, deviations, spare, daring && share_ == 1 && part_ == rows_};
  if (search.anchored) {  // the truth is known at one place: the sample has to bridge only the way from there
    double anchor[kProbes];
    std::fill_n(anchor, kProbes, search.anchor);
    wanted.target += probe(anchor, rows_).spend[0] - spent * share_;
  }
  Guess guess{{near / reach, near * reach}};
  Bracket& range = guess.range;
  Bracket widest{};  // known where the search begins from nothing
  if (!(near > 0 && std::isfinite(near) && narrow(wanted, part_, false, guess))) {
    const double typical = typical_slope();
    if (!(typical > 0) || !std::isfinite(typical)) return {{0, INFINITY}};
    range = widest = {std::ldexp(typical, -kWidest), std::ldexp(typical, kWidest)};
    if (!narrow(wanted, part_, true, guess)) return {{0, INFINITY}};
  }
  if (part_ < rows_) {  // the others only sharpen what a part has found
    // Room for what a part cannot know: where λ* lies at an end of its bracket, the grid must reach beyond.
    const double room = std::sqrt(range.high / range.low);
    const bool below = range.low > 0;
    Guess sharper = guess;
    sharper.range = below ? Bracket{range.low / room, range.high * room} : widest;
    if (narrow(wanted, rows_, !below, sharper)) guess = sharper;
  }
  if (!(range.high < search.outer.high)) range.high = search.outer.high;
  if (!(range.high > search.outer.low)) range.high = search.outer.low * (1 + 1.0 / 16);
  if (!(range.low < range.high)) range.low = range.high * (1 - 1.0 / 16);
  return guess;
}

// A ratio of typical numbers, to begin from.
template <class T>
double Sample<T>::typical_slope() const {
  double value = 0, cost = 0;
  for (std::int64_t i = 0; i < rows_; i += std::max<std::int64_t>(1, rows_ / 64))
    for (std::int64_t k = i * items_; k < (i + 1) * items_; ++k) {
      if (value_[k] == std::numeric_limits<T>::lowest()) continue;
      value += std::fabs(static_cast<double>(value_[k]));
      cost += std::fabs(static_cast<double>(cost_[k]));
    }
  return value / cost;
}

template class Sample<float>;
template class Sample<double>;

}  // namespace bidfcl
