// What a reading of all numbers teaches, before anything is decided.
#pragma once

#include "kernels.h"

namespace bidfcl {

// Several budgets of one instance share it.
struct Survey {
  Largest largest;
  bool costs_rounded = false;  // fixed point rounds some cost
};

// Reads an instance once, in parallel.
template <class T>
Largest largest_of(const InstanceView<T>& instance, int threads);

// Whether fixed point rounds some cost. Their magnitudes, known from a scan, often say so; else the costs are read.
template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, int threads);

// The same in a scale that more than this instance decided.
template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, const FixedPoint& scale, int threads);

// Both.
template <class T>
Survey survey(const InstanceView<T>& instance, int threads);

}  // namespace bidfcl
