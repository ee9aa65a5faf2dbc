// Hull edges of all users by falling slope, exactly: first by rounded slope, whose bits order like integers and need no
// comparisons, then by products where rounding cannot tell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace bidfcl {

// An edge without its user.
struct Rise {
  double slope;  // as in Edge
  std::int64_t value, cost;
};

struct Rises {
  std::unique_ptr<Rise[]> all;
  std::size_t count = 0;
};

// Whose they were does not matter: edges of one exact slope may come in any order. The parts are emptied.
Rises sorted_by_slope(std::vector<std::vector<Rise>>& parts, int threads);

}  // namespace bidfcl
