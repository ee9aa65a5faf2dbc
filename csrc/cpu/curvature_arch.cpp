#include "curvature_arch.h"

#include <cstring>

#include "arch.h"

namespace bidfcl {

namespace generic {
extern const CurvatureArch curvature_table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const CurvatureArch curvature_table;
}
namespace avx512 {
extern const CurvatureArch curvature_table;
}
#endif

const CurvatureArch& curvature_arch() {
#if defined(__x86_64__)
  if (std::strcmp(arch().name, "avx512") == 0) return avx512::curvature_table;
  if (std::strcmp(arch().name, "avx2") == 0) return avx2::curvature_table;
#endif
  return generic::curvature_table;
}

}  // namespace bidfcl
