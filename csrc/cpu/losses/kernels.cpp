// One instruction set's table of the losses' kernels. Compiled once for each.

#include "loss_rows.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

const Table<LossKernels> loss_table = {
    {{loss_rows<float, float, LossOrder::kValue>, loss_rows<float, Half, LossOrder::kValue>,
      loss_rows<float, Bfloat, LossOrder::kValue>},
     {loss_rows<float, float, LossOrder::kGradient>, loss_rows<float, Half, LossOrder::kGradient>,
      loss_rows<float, Bfloat, LossOrder::kGradient>},
     {loss_rows<float, float, LossOrder::kHessian>, loss_rows<float, Half, LossOrder::kHessian>,
      loss_rows<float, Bfloat, LossOrder::kHessian>}},
    {{loss_rows<double, double, LossOrder::kValue>, nullptr, nullptr},
     {loss_rows<double, double, LossOrder::kGradient>, nullptr, nullptr},
     {loss_rows<double, double, LossOrder::kHessian>, nullptr, nullptr}}};

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
