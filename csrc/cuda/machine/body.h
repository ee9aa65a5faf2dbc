// What most bodies of the generic kernels do not do.
#pragma once

#include "core/config.h"

namespace bidfcl {

struct Nothing {
  std::int32_t none = 0;
  BIDFCL_HD void join(const Nothing&) {}
};

struct RowBody {
  using Sum = Nothing;
  // Blocks that a processor should hold at least: 4 of 128 threads leave each 128 registers. Left to itself, ptxas
  // spills a few where that lets one more block in.
  static constexpr int kBlocks = 4;

  BIDFCL_HD int passes() const { return 1; }
  BIDFCL_HD bool skips(std::int64_t) const { return false; }
  BIDFCL_HD void stage(std::int64_t, std::int64_t, int, int, char*) const {}
  BIDFCL_HD void unstage(std::int64_t, std::int64_t, int, int, int, char*) const {}
  template <class Any>
  BIDFCL_HD void finish(std::int64_t, std::int64_t, int, const Any&) const {}
};

// Whether a body knows what a warp does with a row.
template <class Body, class = void>
struct KnowsWide {
  static constexpr bool value = false;
};
template <class Body>
struct KnowsWide<Body, typename Body::Wide> {
  static constexpr bool value = true;
};

// Bodies of a plain list of `count` things: once(i).
template <class Once>
struct Each : RowBody {
  Once once;
  std::int64_t count;

  Each(const Once& what, std::int64_t how_many) : once(what), count(how_many) {}
  BIDFCL_HD std::int64_t users(std::int64_t) const { return count; }
  BIDFCL_HD void row(std::int64_t, std::int64_t i, int, int, char*, Nothing&) const { once(i); }
};

}  // namespace bidfcl
