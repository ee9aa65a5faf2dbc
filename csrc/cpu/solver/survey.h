// What a reading of all numbers teaches, before anything is decided.
#pragma once

#include <vector>

#include "kernels.h"

namespace bidfcl {

// Several budgets of one instance share it.
struct Survey {
  Largest largest;
  bool costs_rounded = false;  // fixed point rounds some cost
};

// Reads an instance once, in parallel. `parts`, if wanted: chunk by chunk.
template <class T>
Largest largest_of(const InstanceView<T>& instance, int threads, std::vector<Largest>* parts = nullptr);

// The users with a cost beyond `limit`, if they are few and close together; else nobody. `parts`: the largest
// magnitudes of every surveyed chunk.
template <class T>
std::vector<std::int64_t> dearest_users(const InstanceView<T>& instance, const std::vector<Largest>& parts,
                                        double limit);

// Whether fixed point rounds some cost. Their magnitudes, known from a scan, often say so; else the costs are read.
template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, int threads);

// The same in a scale that more than this instance decided.
template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, const FixedPoint& scale, int threads);

// Both.
template <class T>
Survey survey(const InstanceView<T>& instance, int threads, std::vector<Largest>* parts = nullptr);

}  // namespace bidfcl
