#include "cuda/solver/survey.h"

#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"
#include "cuda/machine/numbers.h"

namespace bidfcl {
namespace {

template <class T>
struct SurveySum {
  T value = 0, cost = 0;
  std::uint32_t broken = 0, closed = 0;

  BIDFCL_HD void take(T v, T c) {
    const T most = std::numeric_limits<T>::max();
    const T v_size = magnitude(v), c_size = magnitude(c);
    broken |= !(v_size <= most) || !(c_size <= most);
    value = larger(value, v_size);
    cost = larger(cost, c_size);
  }
  BIDFCL_HD void join(const SurveySum& other) {
    value = larger(value, other.value);
    cost = larger(cost, other.cost);
    broken |= other.broken;
    closed |= other.closed;
  }
};

template <class T>
struct SurveyBody : RowBody {
  using Sum = SurveySum<T>;
  using Wide = void;
  Instances<T> in;
  Survey* out;

  BIDFCL_HD std::int64_t users(std::int64_t b) const { return in.users(b); }
  BIDFCL_HD void stage(std::int64_t b, std::int64_t first, int rows, int lane, char* tile) const {
    RowTile<T>(tile, in.base.items).stage(in.problem(b), first, rows, lane);
  }
  BIDFCL_HD void row(std::int64_t b, std::int64_t i, int lane, int, char* tile, Sum& sum) const {
    const int items = in.base.items;
    const RowTile<T> cells = RowTile<T>(tile, items).row(lane, items);
    if (in.base.open == nullptr) {
      for (int j = 0; j < items; ++j) sum.take(cells.value[j], cells.cost[j]);
      return;
    }
    const RowView<T> row = in.problem(b).row(i);
    bool any = false;
    for (int j = 0; j < items; ++j) {
      if (!row.open_at(j)) continue;  // what stands there may not even be a number
      sum.take(cells.value[j], cells.cost[j]);
      any = true;
    }
    sum.closed |= !any;
  }
  template <class Group>
  BIDFCL_HD void wide_row(std::int64_t b, std::int64_t i, const Group& group, int, char*, Sum& sum) const {
    const RowView<T> row = in.problem(b).row(i);
    Sum start;
    start.closed = 1;
    const auto take = [&](Sum& part, int j) {
      if (!row.open_at(j)) return;
      part.take(row.value_at(j), row.cost_at(j));
      part.closed = 0;
    };
    const auto join = [](Sum& own, const Sum& other) {
      const std::uint32_t closed = own.closed & other.closed;
      own.join(other);
      own.closed = closed;
    };
    const Sum all = group.reduce(in.base.items, start, take, join);
    if (group.leads()) sum.join(all);
  }
  BIDFCL_HD void finish(std::int64_t b, std::int64_t, int, const Sum& sum) const {
    const double value = static_cast<double>(sum.value), cost = static_cast<double>(sum.cost);
    std::uint64_t bits;  // of numbers that are not negative: in their order
    std::memcpy(&bits, &value, sizeof bits);
    atomic_most(reinterpret_cast<std::uint64_t*>(&out[b].value), bits);
    std::memcpy(&bits, &cost, sizeof bits);
    atomic_most(reinterpret_cast<std::uint64_t*>(&out[b].cost), bits);
    if (sum.broken) atomic_add(&out[b].broken, 1);
    if (sum.closed) atomic_add(&out[b].closed, 1);
  }
};

}  // namespace

template <class T>
void survey(const Device& device, const Instances<T>& in, Survey* out) {
  clear(device, out, in.count * static_cast<std::int64_t>(sizeof(Survey)));
  SurveyBody<T> body{};
  body.in = in;
  body.out = out;
  launch(device, plan_rows(in.count, in.most, RowTile<T>::bytes(in.base.items), 0, limits_of(device)), body);
}

template void survey(const Device&, const Instances<float>&, Survey*);
template void survey(const Device&, const Instances<double>&, Survey*);

}  // namespace bidfcl
