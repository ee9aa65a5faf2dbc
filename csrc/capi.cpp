// What this build is. The ops of capi.h stand in cpu/.

#include "capi.h"

#include "cpu/machine/arch.h"

namespace bidfcl {

const char* arch_name() {
  switch (arch()) {
    case Arch::kAvx512:
      return "avx512";
    case Arch::kAvx2:
      return "avx2";
    default:
      return "generic";
  }
}

const char* compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "an unknown compiler";
#endif
}

}  // namespace bidfcl
