// One instruction set's table of kernels: the loops that read every row. Compiled once for each.

#include "kernels.h"
#include "probe.h"
#include "scan.h"
#include "sweep.h"
#include "walk.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

const Table<SolverKernels> solver_table = {
    {sweep<float>, walk<float>, columns<float>, scan<float>, probe<float>, look<float>, whole_units<float>},
    {sweep<double>, walk<double>, columns<double>, scan<double>, probe<double>, look<double>, whole_units<double>}};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
