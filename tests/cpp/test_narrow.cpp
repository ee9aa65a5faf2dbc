// A bracket narrowed by a part of the users: it holds what the whole needs, and stays as it was where the part tells
// nothing.

#include "../../csrc/cpu/solver/narrow.h"

#include <algorithm>
#include <random>

#include "check.h"

using namespace bidfcl;

namespace {

constexpr int kBuckets = 256;
constexpr std::int64_t kChunks = 400, kUsersOfChunk = 500;

// Chunks of users with one edge each: its bucket and its cost. `unlike`: how much chunks differ.
struct World {
  std::vector<std::vector<Bucket>> chunk;
  std::vector<Bucket> all;

  World(unsigned seed, double unlike) : chunk(kChunks), all(kBuckets) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(0, 1);
    std::uniform_int_distribution<int> cost(1, 1000), bucket(0, kBuckets - 1);
    for (auto& own : chunk) {
      own.resize(kBuckets);
      const double level = std::exp(unlike * normal(random));
      for (int i = 0; i < kUsersOfChunk; ++i) {
        const auto b = static_cast<std::size_t>(bucket(random));
        const auto c = static_cast<std::int64_t>(level * cost(random));
        own[b].totals.cost += c;
        ++own[b].edges;
      }
      for (std::size_t b = 0; b < kBuckets; ++b) {
        all[b].totals.cost += own[b].totals.cost;
        all[b].edges += own[b].edges;
      }
    }
  }
};

double cost_above(const std::vector<Bucket>& buckets, int from) {
  double out = 0;
  for (int b = from; b < kBuckets; ++b) out += static_cast<double>(buckets[static_cast<std::size_t>(b)].totals.cost);
  return out;
}

void holds(double unlike) {
  int missed = 0, gained = 0;
  const int worlds = 200;
  for (unsigned seed = 0; seed < worlds; ++seed) {
    const World world(seed, unlike);
    const double budget = cost_above(world.all, 0) * (0.1 + 0.8 * seed / worlds), wanted = 500;
    const auto first = first_chunks(kChunks, kChunks * kUsersOfChunk, 1000);
    std::vector<Bucket> part(kBuckets);
    std::vector<double> amounts;
    for (const std::int64_t k : first) {
      const auto& own = world.chunk[static_cast<std::size_t>(k)];
      for (std::size_t b = 0; b < kBuckets; ++b) {
        part[b].totals.cost += own[b].totals.cost;
        part[b].edges += own[b].edges;
      }
      amounts.push_back(cost_above(own, 0));
    }
    const double share = static_cast<double>(first.size()) / kChunks;
    const BucketRange range = narrow(part, 0, share, deviation(amounts, share), budget, wanted);
    CHECK(0 <= range.low && range.low < range.high && range.high <= kBuckets);
    gained += range.high - range.low < kBuckets / 2;
    int split = kBuckets - 1;  // the bucket where the money runs out
    while (split >= 0 && cost_above(world.all, split) <= budget) --split;
    std::int64_t below = 0;
    for (int b = range.low; b < split; ++b) below += world.all[static_cast<std::size_t>(b)].edges;
    missed += split < range.low || split >= range.high || (range.low > 0 && below < wanted);
  }
  CHECK(missed <= 6);  // three standard errors, of a few dozen chunks
  if (unlike < 0.1) CHECK(gained > worlds / 2);
}

void chunks_are_spread() {
  for (const std::int64_t chunks : {1, 31, 32, 33, 122, 489, 100000}) {
    const auto first = first_chunks(chunks, chunks * 8192, 8192);
    CHECK(first.empty() == (chunks < 32));
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(first[i] >= 0 && first[i] < chunks - 1);  // the last may be short
      if (i > 0) CHECK(first[i] > first[i - 1]);      // none twice
    }
    CHECK(static_cast<std::int64_t>(first.size()) <= chunks / 2);
  }
}

void nothing_known_nothing_gained() {
  const World world(1, 0);
  const double all = cost_above(world.all, 0);
  const BucketRange range = narrow(world.all, 0, 0.1, all, all / 2, 10);  // off by as much as there is
  CHECK(range.low == 0 && range.high == kBuckets);
  const std::vector<Bucket> empty(kBuckets);
  const BucketRange none = narrow(empty, 0, 0.1, 0, 5, 10);
  CHECK(none.low == 0 && none.high == kBuckets);
}

}  // namespace

int main() {
  holds(0);
  holds(0.5);
  chunks_are_spread();
  nothing_known_nothing_gained();
  return finish();
}
