// The thread pool: every chunk once, exceptions, loops inside loops, many callers at once, and a fork.

#include "../../csrc/cpu/machine/threads.cpp"

#include <sys/wait.h>

#include <stdexcept>
#include <vector>

#include "../../csrc/cpu/machine/for_rows.h"
#include "check.h"

using namespace bidfcl;

namespace {

void every_row_once(int threads) {
  for (const std::int64_t n : {0, 1, 7, 1000, 100000})
    for (const std::int64_t chunk : {1, 3, 4096}) {
      if (n / chunk > 40000) continue;
      std::vector<int> seen(static_cast<std::size_t>(n), 0);
      for_chunks(n, chunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
        if (begin != k * chunk || end > n || end <= begin) throw std::logic_error("a chunk out of place");
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      bool once = true;
      for (int times : seen) once &= times == 1;
      CHECK(once);
    }
}

void exceptions_come_back() {
  for (int round = 0; round < 100; ++round) {
    bool caught = false;
    try {
      for_chunks(1000, 1, 4, [&](std::int64_t k, std::int64_t, std::int64_t) {
        if (k == 500) throw std::bad_alloc();
      });
    } catch (const std::bad_alloc&) {
      caught = true;
    }
    CHECK(caught);
  }
  every_row_once(4);  // and the pool still works
}

void callers_side_by_side() {
  std::vector<std::thread> callers;
  std::atomic<std::int64_t> total{0};
  for (int c = 0; c < 8; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round)
        for_chunks(64, 1, 3, [&](std::int64_t, std::int64_t, std::int64_t) {
          for_chunks(8, 2, 2, [&](std::int64_t, std::int64_t begin, std::int64_t end) { total += end - begin; });
        });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(total == std::int64_t{8} * 50 * 64 * 8);
}

void a_fork_starts_its_own_pool() {
#if !defined(__SANITIZE_THREAD__)  // which does not follow a fork with threads
  const pid_t child = fork();
  if (child == 0) {
    failures = 0;
    every_row_once(4);
    _exit(failures != 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
#endif
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 7}) every_row_once(threads);
  exceptions_come_back();
  callers_side_by_side();
  a_fork_starts_its_own_pool();
  return finish();
}
