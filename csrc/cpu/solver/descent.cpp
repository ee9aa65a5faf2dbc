// One instruction set's descents. Compiled once for each.

#include "descent.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

const Table<DescentKernels> descent_table = {{first_steps, lowest_of, pick, more_steps}, {}};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
