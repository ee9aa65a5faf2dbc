// What this build is. The ops of capi.h stand in cpu/.

#include "capi.h"

#include "cpu/arch.h"

namespace bidfcl {

const char* arch_name() { return arch().name; }

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
