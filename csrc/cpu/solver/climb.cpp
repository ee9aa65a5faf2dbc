// One instruction set's climbs. Compiled once for each.

#include "climb.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

const Table<ClimbKernels> climb_table = {{chart, stairs}, {}};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
