// The combines of csrc/core as a library for tests/property/test_combines.py: parts of one row, joined in any order and
// with any brackets.

#include <limits>
#include <vector>

#include "core/limbs.h"
#include "core/select.h"
#include "cuda/machine/numbers.h"

using namespace bidfcl;

namespace {

// Four parts in the order `order`: one after the other from the left, from the right, or two and two.
template <class Part>
Part joined(const std::vector<Part>& part, const std::int32_t* order, int brackets) {
  Part a = part[order[0]], b = part[order[1]], c = part[order[2]], d = part[order[3]];
  if (brackets == 0) {
    a.join(b);
    a.join(c);
    a.join(d);
  } else if (brackets == 1) {
    c.join(d);
    b.join(c);
    a.join(b);
  } else {
    a.join(b);
    c.join(d);
    a.join(c);
  }
  return a;
}

template <class T>
void best(int items, const T* score, const std::int32_t* of, const std::int32_t* order, int brackets, double* out) {
  const T never = -std::numeric_limits<T>::infinity();
  std::vector<Best<T, std::int32_t>> part(4, {never, never, std::numeric_limits<std::int32_t>::max()});
  for (int j = 0; j < items; ++j) part[of[j]].take(score[j], j);
  const auto all = joined(part, order, brackets);
  out[0] = all.first;
  out[1] = all.second;
  out[2] = all.index;
}

template <class T>
void ends(int items, const T* value, const T* cost, T low, T high, const std::int32_t* of, const std::int32_t* order,
          int brackets, double* out) {
  const T never = -std::numeric_limits<T>::infinity();
  EndChoices<T, std::int32_t> nothing{};
  nothing.high = {never, never, std::numeric_limits<std::int32_t>::max()};
  nothing.low = never;
  std::vector<EndChoices<T, std::int32_t>> part(4, nothing);
  for (int j = 0; j < items; ++j) take_both<true, T, std::int32_t>(part[of[j]], value[j], cost[j], low, high, j);
  const auto all = joined(part, order, brackets);
  const double found[] = {all.high.first, all.high.second, static_cast<double>(all.high.index),
                          all.low,        all.value,       all.cost};
  for (int n = 0; n < 6; ++n) out[n] = found[n];
}

}  // namespace

extern "C" {

void best32(int items, const float* score, const std::int32_t* of, const std::int32_t* order, int brackets,
            double* out) {
  best(items, score, of, order, brackets, out);
}
void best64(int items, const double* score, const std::int32_t* of, const std::int32_t* order, int brackets,
            double* out) {
  best(items, score, of, order, brackets, out);
}
void ends32(int items, const float* value, const float* cost, const float* bracket, const std::int32_t* of,
            const std::int32_t* order, int brackets, double* out) {
  ends(items, value, cost, bracket[0], bracket[1], of, order, brackets, out);
}
void ends64(int items, const double* value, const double* cost, const double* bracket, const std::int32_t* of,
            const std::int32_t* order, int brackets, double* out) {
  ends(items, value, cost, bracket[0], bracket[1], of, order, brackets, out);
}
// The sum in two halves, so that no integer is wider than Python's callers expect.
void limbs(int items, const std::int64_t* number, const std::int32_t* of, const std::int32_t* order, int brackets,
           std::int64_t* out) {
  std::vector<Limbs> part(4);
  for (int j = 0; j < items; ++j) part[of[j]].take(number[j]);
  const int128 all = joined(part, order, brackets).total();
  out[0] = static_cast<std::int64_t>(all >> 64);
  out[1] = static_cast<std::int64_t>(all);
}
}
