// Where on the axis of the multiplier the treatment received is a user's decision.

#include <limits>

#include "core/interval.h"
#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "shapes.h"

namespace bidfcl {
namespace {

template <class T>
struct OneInterval {
  InstanceView<T> in;
  const std::int64_t* treatment;
  std::int64_t treatment_row;
  double *low, *high;
  std::uint64_t* astray;

  BIDFCL_HD void operator()(std::int64_t i) const {
    const std::int64_t received = treatment[i * treatment_row];
    Interval found{0, 0};
    if (received < 0 || received >= in.items) atomic_add(astray, 1);
    else found = decision_interval(in.row(i), static_cast<int>(received), std::numeric_limits<double>::infinity());
    low[i] = found.low;
    high[i] = found.high;
  }
};

template <class T>
void run(const Device& device, const LossCall& c, double* low, double* high, std::uint64_t* astray) {
  const InstanceView<T> in{c.value,
                           c.cost,
                           c.open,
                           c.value_stride[1],
                           c.value_stride[2],
                           c.cost_stride[1],
                           c.cost_stride[2],
                           c.open_stride[1],
                           c.open_stride[2],
                           c.users,
                           c.items,
                           nullptr,
                           stored_as(c.storage)};
  clear(device, astray, static_cast<std::int64_t>(sizeof *astray));
  const OneInterval<T> one{in, c.treatment, c.treatment_stride[1], low, high, astray};
  launch(device, plan_rows(1, c.users, 0, -1, limits_of(device)), Each<OneInterval<T>>(one, c.users));
}

}  // namespace

void cuda::received_intervals(const Device& device, const LossCall& call, double* low, double* high,
                              std::uint64_t* astray) {
  const OnDevice use(device);
  if (call.storage == kStoreFloat64) run<double>(device, call, low, high, astray);
  else run<float>(device, call, low, high, astray);
}

}  // namespace bidfcl
