// Launch plans: every row exactly once, within every limit, narrow and wide where they should be.

#include "core/plan.h"

#include <algorithm>
#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

void examine(std::int64_t problems, std::int64_t users, std::int64_t tile, std::int64_t row,
             const DeviceLimits& limits) {
  const LaunchPlan plan = plan_rows(problems, users, tile, row, limits);
  CHECK(plan.warps == 1 || plan.warps == 2 || plan.warps == 4);
  CHECK(plan.shared_bytes() <= limits.shared_bytes);
  CHECK(plan.blocks <= limits.most_blocks && plan.blocks <= plan.chunks);
  CHECK((plan.blocks > 0) == (plan.chunks > 0) || !plan.shared);
  CHECK(plan.chunks == plan.per_problem * problems);
  CHECK(plan.chunk % kWarp == 0);
  const bool fits = tile <= limits.shared_bytes / 16 * 16;
  CHECK(!plan.wide || (!fits && row >= 0));
  CHECK(plan.wide || fits || row < 0);
  CHECK(plan.warp_bytes >= (plan.wide ? row : tile) && plan.warp_bytes % 16 == 0);
  CHECK(plan.shared == (plan.scratch_bytes == 0) || plan.chunks == 0);
  if (!plan.shared && plan.blocks > 1) CHECK(plan.scratch_bytes <= kScratchMost);
  if (!plan.shared) CHECK(plan.scratch_bytes >= plan.blocks * plan.warps * plan.warp_bytes);

  if (problems * users > 200000) return;
  std::vector<int> seen(static_cast<std::size_t>(problems * users), 0);
  for (std::int64_t c = 0; c < plan.chunks; ++c) {
    const Chunk chunk = chunk_of(plan, users, c);
    CHECK(chunk.rows > 0 && chunk.rows <= plan.chunk && chunk.problem < problems);
    for (std::int64_t i = chunk.first; i < chunk.first + chunk.rows; ++i)
      ++seen[static_cast<std::size_t>(chunk.problem * users + i)];
    // A shorter problem has the first rows of the same chunks.
    const std::int64_t fewer = users / 3;
    const Chunk cut = chunk_of(plan, fewer, c);
    CHECK(cut.first == chunk.first && cut.rows == (fewer > cut.first ? std::min(fewer - cut.first, plan.chunk) : 0));
  }
  bool once = true;
  for (const int n : seen) once &= n == 1;
  CHECK(once);
}

}  // namespace

int main() {
  std::mt19937_64 random(5);
  const auto upto = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
  };
  for (int n = 0; n < 3000; ++n) {
    const DeviceLimits limits{(1 + upto(100)) << 10, 1 + upto(1 << (n % 17)), 0};
    const std::int64_t tile = upto(std::int64_t{1} << (n % 20)), row = n % 3 == 0 ? -1 : tile / 32 + upto(64);
    examine(n % 4 == 0 ? 1 : upto(50), upto(n % 5 == 0 ? 100000 : 700), tile, row, limits);
  }
  for (const std::int64_t users :
       {std::int64_t{0}, std::int64_t{1}, std::int64_t{31}, std::int64_t{32}, std::int64_t{2147483647}})
    for (const std::int64_t tile : {0, 1, 49152, 49153, 1 << 24}) examine(1, users, tile, 16, {48 << 10, 65536, 0});
  return finish();
}
