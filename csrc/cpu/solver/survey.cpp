#include "survey.h"

#include <atomic>
#include <vector>

#include "../machine/for_rows.h"

namespace bidfcl {
namespace {

constexpr std::int64_t kChunk = 8192;  // users a thread scans at a time

}  // namespace

template <class T>
Largest largest_of(const InstanceView<T>& instance, int threads) {
  std::vector<Largest> parts(static_cast<std::size_t>((instance.users + kChunk - 1) / kChunk));
  for_chunks(instance.users, kChunk, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    parts[static_cast<std::size_t>(k)] = solver_kernels<T>().scan(instance, begin, end);
  });
  Largest out;
  for (const Largest& part : parts) out.join(part);
  return out;
}

template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, int threads) {
  return costs_rounded(instance, largest, FixedPoint::for_largest(largest.cost), threads);
}

template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, const FixedPoint& scale, int threads) {
  if (!largest.finite || is_whole<T>(largest.least_cost, scale)) return false;
  std::atomic<bool> broken{false};
  for_chunks(instance.users, kChunk, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    if (!broken && !solver_kernels<T>().whole_units(instance, scale, begin, end)) broken = true;
  });
  return broken;
}

template <class T>
Survey survey(const InstanceView<T>& instance, int threads) {
  const Largest largest = largest_of(instance, threads);
  return {largest, costs_rounded(instance, largest, threads)};
}

template Largest largest_of(const InstanceView<float>&, int);
template Largest largest_of(const InstanceView<double>&, int);
template bool costs_rounded(const InstanceView<float>&, const Largest&, int);
template bool costs_rounded(const InstanceView<double>&, const Largest&, int);
template bool costs_rounded(const InstanceView<float>&, const Largest&, const FixedPoint&, int);
template bool costs_rounded(const InstanceView<double>&, const Largest&, const FixedPoint&, int);
template Survey survey(const InstanceView<float>&, int);
template Survey survey(const InstanceView<double>&, int);

}  // namespace bidfcl
