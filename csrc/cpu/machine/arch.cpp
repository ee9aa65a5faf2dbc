// Which instruction set runs: detected once, or forced by BIDFCL_ARCH so that a test can prove which one ran.

#include "arch.h"

#include <cstdlib>
#include <cstring>

namespace bidfcl {

namespace {

Arch choose() {
  const char* forced = std::getenv("BIDFCL_ARCH");
#if BIDFCL_SEVERAL_ARCHES
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  const bool any = forced == nullptr || *forced == '\0';
  if (has_avx512 && (any || std::strcmp(forced, "avx512") == 0)) return Arch::kAvx512;
  if (has_avx2 && (any || std::strcmp(forced, "generic") != 0)) return Arch::kAvx2;
#else
  (void)forced;
#endif
  return Arch::kGeneric;
}

}  // namespace

Arch arch() {
  static const Arch chosen = choose();
  return chosen;
}

}  // namespace bidfcl
