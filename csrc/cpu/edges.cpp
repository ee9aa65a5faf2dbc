#include "edges.h"

#include <algorithm>
#include <cmath>

#include "for_rows.h"

namespace bidfcl {

template <class T>
EdgeList list_edges(const EdgeJob<T>& job) {
  constexpr std::int64_t kChunk = 2048;
  const std::int64_t chunks = (job.count + kChunk - 1) / kChunk;
  const int to_fixed = job.value_scale.shift - job.cost_scale.shift;
  const double high = std::ldexp(job.bracket.high * (1 + kSlack), to_fixed);
  const double low = std::ldexp(job.bracket.low * (1 - kSlack), to_fixed);

  std::vector<EdgeList> parts(static_cast<std::size_t>(chunks));
  EdgeList out;
  out.at.resize(static_cast<std::size_t>(job.count));
  for_chunks(job.count, kChunk, job.threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
    EdgeList& part = parts[static_cast<std::size_t>(k)];
    std::vector<std::int64_t> numbers(2 * static_cast<std::size_t>(job.instance.items));
    FixedRow row{numbers.data(), numbers.data() + job.instance.items, job.instance.items};
    for (std::int64_t n = begin; n < end; ++n) {
      const auto user = static_cast<std::int32_t>(job.users ? job.users[n].user : n);
      quantise(job.instance.row(user), job.value_scale, job.cost_scale, row);
      int at = job.users && job.users[n].high >= 0 ? job.users[n].high : cheapest(row);
      if (at < 0) {
        part.closed_user = true;
        continue;
      }
      Edge edge;
      edge.user = user;
      bool more = next_edge(row, at, edge);
      while (more && edge.slope > high) {
        at = edge.stop;
        more = next_edge(row, at, edge);
      }
      out.at[static_cast<std::size_t>(n)] = at;
      part.value += row.value[at];
      part.cost += row.cost[at];
      for (edge.position = 0; more && edge.slope >= low; ++edge.position) {
        part.edges.push_back(edge);
        more = next_edge(row, edge.stop, edge);
      }
    }
  });

  std::size_t total = 0;
  for (const EdgeList& part : parts) total += part.edges.size();
  out.edges.reserve(total);
  for (EdgeList& part : parts) {
    out.edges.insert(out.edges.end(), part.edges.begin(), part.edges.end());
    out.value += part.value;
    out.cost += part.cost;
    out.closed_user |= part.closed_user;
    std::vector<Edge>().swap(part.edges);
  }
  return out;
}

template EdgeList list_edges(const EdgeJob<float>&);
template EdgeList list_edges(const EdgeJob<double>&);

}  // namespace bidfcl
