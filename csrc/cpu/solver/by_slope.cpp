#include "by_slope.h"

#include <algorithm>
#include <cstring>

#include "../../core/buckets.h"
#include "../../core/hull.h"
#include "../machine/for_rows.h"

namespace bidfcl {
namespace {

using Bits = std::uint64_t;

Bits bits(const Rise& rise) { return SlopeBuckets::bits(rise.slope); }

// Equal ranges of bits between two ends, the steepest first.
struct Ranges {
  Bits highest;
  int shift = 0;

  Ranges(Bits low, Bits high, std::size_t most) : highest(high) {
    while ((high - low) >> shift >= most) ++shift;
  }
  std::size_t operator()(const Rise& rise) const { return static_cast<std::size_t>((highest - bits(rise)) >> shift); }
  std::size_t count(Bits low) const { return static_cast<std::size_t>((highest - low) >> shift) + 1; }
};

struct Span {
  Bits low = ~Bits{0}, high = 0;

  void take(const Rise& rise) {
    low = std::min(low, bits(rise));
    high = std::max(high, bits(rise));
  }
  void join(const Span& other) {
    low = std::min(low, other.low);
    high = std::max(high, other.high);
  }
};

void sort_by_insertion(Rise* first, Rise* last) {
  for (Rise* next = first + 1; next < last; ++next) {
    const Rise rise = *next;
    Rise* at = next;
    for (; at > first && at[-1].slope < rise.slope; --at) *at = at[-1];
    *at = rise;
  }
}

// One thread's: sorts by ranges of bits, and each range again where it holds many.
class Sorter {
 public:
  void sort(Rise* rises, std::size_t count) {
    constexpr std::size_t kFew = 24, kInRange = 4, kMostRanges = 1 << 14;
    if (count <= kFew) return sort_by_insertion(rises, rises + count);
    Span span;
    for (std::size_t k = 0; k < count; ++k) span.take(rises[k]);
    if (span.low == span.high) return;
    const Ranges ranges(span.low, span.high, std::min(kMostRanges, count / kInRange));
    const std::size_t number = ranges.count(span.low);
    std::vector<std::uint32_t> place(number + 1, 0);
    for (std::size_t k = 0; k < count; ++k) ++place[ranges(rises[k]) + 1];
    for (std::size_t r = 0; r < number; ++r) place[r + 1] += place[r];
    if (room_ < count) {
      scratch_.reset(new Rise[count]);
      room_ = count;
    }
    for (std::size_t k = 0; k < count; ++k) scratch_[place[ranges(rises[k])]++] = rises[k];
    std::memcpy(rises, scratch_.get(), count * sizeof(Rise));
    std::size_t first = 0;
    for (std::size_t r = 0; r < number; first = place[r++])
      if (place[r] - first > 1) sort(rises + first, place[r] - first);
  }

 private:
  std::unique_ptr<Rise[]> scratch_;
  std::size_t room_ = 0;
};

// Rounding cannot tell these two apart.
bool is_close(const Rise& steeper, const Rise& next) {
  return !(steeper.slope - next.slope > kSlopeFilter * steeper.slope);
}

bool is_steeper(const Rise& a, const Rise& b) {
  return compare_slopes(a.slope, a.value, a.cost, b.slope, b.value, b.cost) > 0;
}

// Runs of close slopes, where they are out of order.
void mend(Rises& rises, int threads) {
  constexpr std::int64_t kChunk = 1 << 16;
  struct Run {
    std::size_t first, last;
  };
  const auto n = static_cast<std::int64_t>(rises.count);
  const Rise* all = rises.all.get();
  std::vector<std::vector<Run>> found(static_cast<std::size_t>((n + kChunk - 1) / kChunk));
  for_chunks(n, kChunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    std::size_t at = static_cast<std::size_t>(begin);
    while (at > 0 && at < static_cast<std::size_t>(end) && is_close(all[at - 1], all[at]))
      ++at;  // the chunk before has it
    for (std::size_t last; at < static_cast<std::size_t>(end); at = last) {
      bool out_of_order = false;
      for (last = at + 1; last < rises.count && is_close(all[last - 1], all[last]); ++last)
        out_of_order |= is_steeper(all[last], all[last - 1]);
      if (out_of_order) found[static_cast<std::size_t>(k)].push_back({at, last});
    }
  });
  for (const std::vector<Run>& runs : found)
    for (const Run& run : runs) std::sort(rises.all.get() + run.first, rises.all.get() + run.last, is_steeper);
}

}  // namespace

Rises sorted_by_slope(std::vector<std::vector<Rise>>& parts, int threads) {
  constexpr std::size_t kMostRanges = 1 << 11;
  constexpr std::int64_t kAtOnce = 16;  // ranges
  Rises out;
  Span span;
  for (const std::vector<Rise>& part : parts) out.count += part.size();
  out.all.reset(new Rise[out.count]);
  if (out.count == 0) return out;

  // Some parts together, a few times as many as there are threads: each counts, and then writes, for itself.
  const auto count = static_cast<std::int64_t>(parts.size());
  const std::int64_t together = std::max<std::int64_t>(1, count / (4 * threads));
  const auto groups = static_cast<std::size_t>((count + together - 1) / together);
  std::vector<Span> spans(groups);
  const auto each_rise = [&](std::int64_t begin, std::int64_t end, const auto& see) {
    for (std::int64_t k = begin; k < end; ++k)
      for (const Rise& rise : parts[static_cast<std::size_t>(k)]) see(rise);
  };
  for_chunks(count, together, threads, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
    Span own;
    each_rise(begin, end, [&](const Rise& rise) { own.take(rise); });
    spans[static_cast<std::size_t>(g)] = own;
  });
  for (const Span& own : spans) span.join(own);
  const Ranges ranges(span.low, span.high, kMostRanges);
  const std::size_t number = ranges.count(span.low);
  std::vector<std::vector<std::size_t>> place(groups, std::vector<std::size_t>(number, 0));
  for_chunks(count, together, threads, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
    std::vector<std::size_t>& own = place[static_cast<std::size_t>(g)];
    each_rise(begin, end, [&](const Rise& rise) { ++own[ranges(rise)]; });
  });
  std::vector<std::size_t> first(number + 1, 0);
  std::size_t total = 0;
  for (std::size_t r = 0; r < number; ++r) {
    first[r] = total;
    for (std::vector<std::size_t>& own : place) {
      const std::size_t some = own[r];
      own[r] = total;
      total += some;
    }
  }
  first[number] = total;
  for_chunks(count, together, threads, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
    std::vector<std::size_t>& own = place[static_cast<std::size_t>(g)];
    each_rise(begin, end, [&](const Rise& rise) { out.all[own[ranges(rise)]++] = rise; });
    for (std::int64_t k = begin; k < end; ++k) std::vector<Rise>().swap(parts[static_cast<std::size_t>(k)]);
  });
  for_chunks(static_cast<std::int64_t>(number), kAtOnce, threads,
             [&](std::int64_t, std::int64_t begin, std::int64_t end) {
               Sorter sorter;
               for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r)
                 sorter.sort(out.all.get() + first[r], first[r + 1] - first[r]);
             });
  mend(out, threads);
  return out;
}

}  // namespace bidfcl
