// The hull walk against its definition: no point lies above it, and its slopes never rise.

#include "../../csrc/core/hull.h"

#include <random>
#include <vector>

#include "check.h"

using namespace bidfcl;

namespace {

void walk(const std::vector<std::int64_t>& value, const std::vector<std::int64_t>& cost) {
  const int items = static_cast<int>(value.size());
  std::vector<std::int64_t> v = value, c = cost;
  std::vector<double> slope(value.size());
  const FixedRow row{v.data(), c.data(), slope.data(), items};
  std::vector<int> vertices{cheapest(row)};
  Edge edge, before{};
  while (next_edge(row, vertices.back(), edge)) {
    CHECK(edge.start == vertices.back());
    CHECK(edge.value == v[edge.stop] - v[edge.start] && edge.value > 0);
    CHECK(edge.cost == c[edge.stop] - c[edge.start] && edge.cost > 0);
    if (vertices.size() > 1)
      CHECK(static_cast<int128>(before.value) * edge.cost >= static_cast<int128>(edge.value) * before.cost);
    before = edge;
    vertices.push_back(edge.stop);
    CHECK(static_cast<int>(vertices.size()) <= items);
    if (static_cast<int>(vertices.size()) > items) return;
  }
  const int first = vertices.front(), last = vertices.back();
  for (int j = 0; j < items; ++j) {
    CHECK(c[j] >= c[first]);
    CHECK(v[j] <= v[last]);
    // Below the line through the two vertices on either side of it.
    for (std::size_t k = 0; k + 1 < vertices.size(); ++k) {
      const int a = vertices[k], b = vertices[k + 1];
      if (c[j] < c[a] || c[j] > c[b]) continue;
      CHECK(static_cast<int128>(v[j] - v[a]) * (c[b] - c[a]) <= static_cast<int128>(v[b] - v[a]) * (c[j] - c[a]));
    }
  }
}

}  // namespace

int main() {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 3000; ++trial) {
    const std::size_t items = 1 + random() % 14;
    std::vector<std::int64_t> value(items), cost(items);
    const int kind = static_cast<int>(random() % 3);
    for (std::size_t j = 0; j < items; ++j) {
      // Small integers (ties and lines), the whole range, and near-lines that only exact products tell apart.
      const auto wide = [&] { return static_cast<std::int64_t>(random() >> 2) - (std::int64_t{1} << 61); };
      value[j] = kind == 0 ? static_cast<std::int64_t>(random() % 7) - 3 : wide();
      cost[j] = kind == 0 ? static_cast<std::int64_t>(random() % 7) - 3 : wide();
      if (kind == 2) value[j] = cost[j] / 3 + static_cast<std::int64_t>(random() % 3);
    }
    walk(value, cost);
  }
  // Slopes that agree in double and differ in truth.
  const std::int64_t big = (std::int64_t{1} << 60) + 1;
  walk({0, big, big + big - 1}, {0, big, big + big});
  walk({0, big - 2, big + big}, {0, big, big + big});
  return finish();
}
