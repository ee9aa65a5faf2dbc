// A first reading: the largest magnitudes, and what makes a problem unsolvable.
#pragma once

#include "cuda/device.h"
#include "cuda/solver/problems.h"

namespace bidfcl {

struct Survey {
  double value, cost;            // largest magnitudes
  std::uint64_t broken, closed;  // numbers that are not finite; users without an open treatment

  BIDFCL_HD bool usable() const { return broken == 0 && closed == 0; }
  BIDFCL_HD Scales scales() const { return {FixedPoint::for_largest(value), FixedPoint::for_largest(cost)}; }
};

// Writes survey[b] for every problem; the memory is cleared here.
template <class T>
void survey(const Device& device, const Instances<T>& in, Survey* survey);

}  // namespace bidfcl
