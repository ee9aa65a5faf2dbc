#include "survey.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "../machine/for_rows.h"

namespace bidfcl {
template <class T>
Largest largest_of(const InstanceView<T>& instance, int threads, std::vector<Largest>* wanted) {
  std::vector<Largest> parts(static_cast<std::size_t>(parts_of(instance.users)));
  for_chunks(instance.users, users_at_a_time(), threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    parts[static_cast<std::size_t>(k)] = solver_kernels<T>().scan(instance, begin, end);
  });
  Largest out;
  for (const Largest& part : parts) out.join(part);
  if (wanted != nullptr) *wanted = std::move(parts);
  return out;
}

template <class T>
std::vector<std::int64_t> dearest_users(const InstanceView<T>& instance, const std::vector<Largest>& parts,
                                        double limit) {
  constexpr std::size_t kMostChunks = 16, kMostUsers = 1024;
  const std::int64_t chunk = users_at_a_time();
  std::vector<std::int64_t> chunks, users;
  for (std::size_t k = 0; k < parts.size(); ++k)
    if (parts[k].cost > limit) chunks.push_back(static_cast<std::int64_t>(k));
  if (chunks.size() > kMostChunks) return {};
  for (const std::int64_t k : chunks)
    for (std::int64_t i = k * chunk; i < std::min(instance.users, (k + 1) * chunk); ++i)
      if (solver_kernels<T>().scan(instance, i, i + 1).cost > limit) users.push_back(i);
  if (users.size() > kMostUsers) users.clear();
  return users;
}

template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, int threads) {
  return costs_rounded(instance, largest, FixedPoint::for_largest(largest.cost), threads);
}

template <class T>
bool costs_rounded(const InstanceView<T>& instance, const Largest& largest, const FixedPoint& scale, int threads) {
  if (!largest.finite || is_whole<T>(largest.least_cost, scale)) return false;
  std::atomic<bool> broken{false};
  for_chunks(instance.users, users_at_a_time(), threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    if (!broken && !solver_kernels<T>().whole_units(instance, scale, begin, end)) broken = true;
  });
  return broken;
}

template <class T>
Survey survey(const InstanceView<T>& instance, int threads, std::vector<Largest>* parts) {
  const Largest largest = largest_of(instance, threads, parts);
  return {largest, costs_rounded(instance, largest, threads)};
}

template Largest largest_of(const InstanceView<float>&, int, std::vector<Largest>*);
template Largest largest_of(const InstanceView<double>&, int, std::vector<Largest>*);
template std::vector<std::int64_t> dearest_users(const InstanceView<float>&, const std::vector<Largest>&, double);
template std::vector<std::int64_t> dearest_users(const InstanceView<double>&, const std::vector<Largest>&, double);
template bool costs_rounded(const InstanceView<float>&, const Largest&, int);
template bool costs_rounded(const InstanceView<double>&, const Largest&, int);
template bool costs_rounded(const InstanceView<float>&, const Largest&, const FixedPoint&, int);
template bool costs_rounded(const InstanceView<double>&, const Largest&, const FixedPoint&, int);
template Survey survey(const InstanceView<float>&, int, std::vector<Largest>*);
template Survey survey(const InstanceView<double>&, int, std::vector<Largest>*);

}  // namespace bidfcl
