// A test program's vocabulary: CHECK counts, `finish` says how it went.
#pragma once

#include <cstdio>

inline int checks = 0, failures = 0;

#define CHECK(condition)                                                  \
  do {                                                                    \
    ++checks;                                                             \
    if (!(condition)) {                                                   \
      ++failures;                                                         \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                     \
  } while (0)

inline int finish() {
  std::printf("%d checks, %d failed\n", checks, failures);
  return failures != 0;
}
