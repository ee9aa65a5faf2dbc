// One instruction set's table of curvature kernels. Compiled once for each.

#include "kernels.h"
#include "cg_update.h"
#include "low_rank.h"
#include "mlp_tiles.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

const Table<CurvatureKernels> curvature_table = {
    {Lanes<float>::count, linearise_tile<float>, product_tile<float>, push_tile<float>, gradient_tile<float>,
     diagonal_tile<float>, cg_bend<float>, cg_step<float>, cg_turn<float>, low_rank_lean<float>, low_rank_apply<float>},
    {Lanes<double>::count, linearise_tile<double>, product_tile<double>, push_tile<double>, gradient_tile<double>,
     diagonal_tile<double>, cg_bend<double>, cg_step<double>, cg_turn<double>, low_rank_lean<double>,
     low_rank_apply<double>}};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
