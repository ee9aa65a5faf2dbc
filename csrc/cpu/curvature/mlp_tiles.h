// A network linearised, and multiplied, one tile of rows at a time: the tile's activations stay in cache from the first
// layer to the last and back.
//
// Forward along a direction (V, c), with a dot for derivatives along it:
//   ż_l = ȧ_{l−1}·Wᵀ + a_{l−1}·Vᵀ + c,   ȧ_l = σ'(z_l)·ż_l,   ȧ_0 = 0
// and back, where δ_l = ∂loss/∂z_l and g_l = ∂loss/∂a_l:
//   δ̇_last = output·ż_last,   δ̇_{l−1} = σ'·(δ̇_l·W + δ_l·V) + σ''·g·ż,   product_l = δ̇_lᵀ·a_{l−1} + δ_lᵀ·ȧ_{l−1}
// (Pearlmutter 1994). Gauss-Newton is the same without δ and σ''.
#pragma once

#include <cstdint>

#include "gemm_tiles.h"
#include "kernels.h"

namespace bidfcl {
namespace BIDFCL_ARCH {

template <class T>
BIDFCL_HD const T* entering(const Mlp<T>& net, int l, std::int64_t row) {
  return l == 0 ? net.inputs + row * net.in_pad : net.layers[l - 1].value + row * net.layers[l - 1].out_pad;
}

template <class T>
BIDFCL_HD Finish<T> plain(T* out, std::int64_t stride) {
  return {out, stride, Slope::one, nullptr, nullptr, T(0), nullptr, nullptr, nullptr};
}

// The end of a product whose sums are to be multiplied by layer `l`'s σ' in the rows from `row` on.
template <class T>
BIDFCL_HD Finish<T> sloped(const MlpLayer<T>& layer, std::int64_t row, T* out) {
  const std::int64_t at = row * layer.out_pad;
  return {
      out,     layer.out_pad, layer.slope, layer.first ? layer.first + at : nullptr, layer.value + at, layer.parameter,
      nullptr, nullptr,       nullptr};
}

template <class T>
BIDFCL_HD Pack<T> slope_of_row(const MlpLayer<T>& layer, std::int64_t at) {
  return layer.slope == Slope::kept ? load(layer.first + at)
                                    : slope_at(layer.slope, all(layer.parameter), load(layer.value + at));
}

// Padding columns take part in no sum, but what is not there should not be NaN either.
template <class T>
BIDFCL_HD void clear_padding(T* row, std::int64_t used, std::int64_t pad) {
  for (std::int64_t j = used; j < pad; ++j) row[j] = T(0);
}

// z → activations and what is kept of their derivatives; `second` is σ'' [rows][out_pad], or null.
template <class T>
void activate_tile(const MlpLayer<T>& layer, std::int64_t begin, std::int64_t rows, const T* z, T* second) {
  constexpr int L = Lanes<T>::count;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t from = i * layer.out_pad, to = (begin + i) * layer.out_pad;
    for (std::int64_t j = 0; j < layer.out_pad; j += L) {
      const Bend<Pack<T>> b = activate(layer.activation, all(layer.parameter), load(z + from + j));
      store(layer.value + to + j, b.value);
      if (layer.first) store(layer.first + to + j, b.first);
      if (second) store(second + from + j, b.second);
    }
    clear_padding(layer.value + to, layer.out, layer.out_pad);
  }
}

template <class T>
void linearise_tile(const Mlp<T>& net, const MlpData<T>& data, std::int64_t begin, std::int64_t end, T* scratch) {
  constexpr int L = Lanes<T>::count;
  const std::int64_t rows = end - begin;
  for (std::int64_t i = begin; i < end; ++i) {
    T* to = net.inputs + i * net.in_pad;
    const int in = net.layers[0].in;
    __builtin_memcpy(to, data.inputs + i * data.input_stride, in * sizeof(T));
    clear_padding(to, in, net.in_pad);
  }
  const MlpLayer<T>& last = net.layers[net.count - 1];
  T* const z = scratch;                             // as wide as the widest layer
  T* const second = scratch + rows * last.out_pad;  // of the last layer alone: z needs no more room then
  for (int l = 0; l < net.count; ++l) {
    const MlpLayer<T>& layer = net.layers[l];
    const Factors<T> factor = {entering(net, l, begin), layer.in_pad, layer.transposed, layer.out_pad, layer.in};
    rows_product(&factor, 1, layer.bias, rows, layer.out_pad, plain(z, layer.out_pad));
    const bool at_end = l == net.count - 1;
    T* const keep = at_end ? second : layer.bend ? layer.bend + begin * layer.out_pad : nullptr;
    activate_tile(layer, begin, rows, z, keep);
  }
  // The loss: g = 2·scale·weight·(output − target) at the end of the network.
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t at = (begin + i) * last.out_pad, given = (begin + i) * last.out;
    for (std::int64_t j = 0; j < last.out_pad; j += L) {
      const Pack<T> slope = slope_of_row(last, at + j);
      store(net.output + at + j, slope * slope);
      if (net.exact) store(last.delta + at + j, slope);
    }
    for (int j = 0; j < last.out; ++j) {
      const T twice = 2 * data.scale * (data.weight ? data.weight[given + j] : T(1));
      net.output[at + j] *= twice;
      if (net.exact) {
        const T g = twice * (last.value[at + j] - data.targets[given + j]);
        last.delta[at + j] *= g;
        net.output[at + j] += second[i * last.out_pad + j] * g;
      }
    }
    clear_padding(net.output + at, last.out, last.out_pad);
    if (net.exact) clear_padding(last.delta + at, last.out, last.out_pad);
  }
  if (!net.exact) return;
  for (int l = net.count - 1; l > 0; --l) {
    const MlpLayer<T>&layer = net.layers[l], &below = net.layers[l - 1];
    const Factors<T> factor = {layer.delta + begin * layer.out_pad, layer.out_pad, layer.weight, layer.in_pad,
                               layer.out};
    rows_product(&factor, 1, static_cast<const T*>(nullptr), rows, layer.in_pad, plain(z, layer.in_pad));
    for (std::int64_t i = 0; i < rows * below.out_pad; i += L) {
      const std::int64_t at = begin * below.out_pad + i;
      const Pack<T> g = load(z + i);
      store(below.delta + at, slope_of_row(below, at) * g);
      if (below.bend) store(below.bend + at, load(below.bend + at) * g);
    }
  }
}

// [rows][pad] added up over rows.
template <class T>
void column_sums(const T* x, std::int64_t rows, std::int64_t pad, T* out) {
  constexpr int L = Lanes<T>::count;
  for (std::int64_t j = 0; j < pad; j += L) {
    Pack<T> sum = load(out + j);
    for (std::int64_t i = 0; i < rows; ++i) sum += load(x + i * pad + j);
    store(out + j, sum);
  }
}

// sum += deltaᵀ·a (+ kept_deltaᵀ·moved), in the orientation that wastes fewer lanes.
template <class T>
void add_outer(const MlpLayer<T>& layer, bool flipped, const Factors<T>* pairs, int count, T* out) {
  if (!flipped) {
    outer_product(pairs, count, layer.out, layer.in_pad, out, layer.in_pad);
    return;
  }
  Factors<T> turned[2];
  for (int n = 0; n < count; ++n) {
    turned[n] = {pairs[n].b, pairs[n].b_stride, pairs[n].a, pairs[n].a_stride, pairs[n].depth};
  }
  outer_product(turned, count, layer.in, layer.out_pad, out, layer.out_pad);
}

// ȧ_l of every layer along a direction; the last one's is finished as `last` says. `bent`: σ''·g·ż, or null.
template <class T>
void forward_along(const Mlp<T>& net, const MlpDirection<T>& v, std::int64_t begin, std::int64_t rows, T* const* moved,
                   T* const* bent, const Finish<T>& last) {
  for (int l = 0; l < net.count; ++l) {
    const MlpLayer<T>& layer = net.layers[l];
    const T* const a = entering(net, l, begin);
    const Factors<T> factors[2] = {{a, layer.in_pad, v.transposed[l], layer.out_pad, layer.in},
                                   {l ? moved[l - 1] : a, layer.in_pad, layer.transposed, layer.out_pad, layer.in}};
    Finish<T> f = sloped(layer, begin, moved[l]);
    if (l == net.count - 1) {
      f = last;
    } else if (bent && layer.bend) {
      f.bend = layer.bend + begin * layer.out_pad;
      f.bent = bent[l];
    }
    rows_product(factors, l ? 2 : 1, v.bias[l], rows, layer.out_pad, f);
  }
}

template <class T>
void product_tile(const Mlp<T>& net, const MlpDirection<T>& v, const MlpSum<T>& sum, std::int64_t begin,
                  std::int64_t end, T* scratch) {
  const std::int64_t rows = end - begin;
  const int depth = static_cast<int>(rows), count = net.count;
  // By layer: ȧ, then σ''·g·ż; at last δ̇ of two layers in turn.
  T* moved[64];
  T* bent[64];
  T* next = scratch;
  std::int64_t widest = 0;
  for (int l = 0; l < count; ++l) {
    const std::int64_t size = rows * net.layers[l].out_pad;
    moved[l] = next;
    bent[l] = next + size;
    next += 2 * size;
    widest = size > widest ? size : widest;
  }
  T* delta = moved[count - 1];
  T* below_delta = next;
  const MlpLayer<T>& end_layer = net.layers[count - 1];
  Finish<T> last = plain(delta, end_layer.out_pad);
  last.slope = Slope::kept;
  last.kept = net.output + begin * end_layer.out_pad;
  forward_along(net, v, begin, rows, moved, bent, last);
  for (int l = count - 1; l >= 0; --l) {
    const MlpLayer<T>& layer = net.layers[l];
    const T* const a = entering(net, l, begin);
    const std::int64_t at = begin * layer.out_pad;
    const T* const kept = net.exact ? layer.delta + at : nullptr;
    const bool twice = net.exact && l > 0;
    const Factors<T> outer[2] = {{delta, layer.out_pad, a, layer.in_pad, depth},
                                 {kept, layer.out_pad, l ? moved[l - 1] : a, layer.in_pad, depth}};
    add_outer(layer, sum.flipped[l], outer, twice ? 2 : 1, sum.weight[l]);
    column_sums(delta, rows, layer.out_pad, sum.bias[l]);
    if (l == 0) break;
    const Factors<T> back[2] = {{delta, layer.out_pad, layer.weight, layer.in_pad, layer.out},
                                {kept, layer.out_pad, v.weight[l], layer.in_pad, layer.out}};
    Finish<T> f = sloped(net.layers[l - 1], begin, below_delta);
    if (net.layers[l - 1].bend) f.add = bent[l - 1];
    rows_product(back, twice ? 2 : 1, static_cast<const T*>(nullptr), rows, layer.in_pad, f);
    T* const free = delta == moved[count - 1] ? next + widest : delta;
    delta = below_delta;
    below_delta = free;
  }
}

// The outputs' derivatives along a direction, [rows][out].
template <class T>
void push_tile(const Mlp<T>& net, const MlpDirection<T>& v, std::int64_t begin, std::int64_t end, T* scratch, T* out) {
  const std::int64_t rows = end - begin;
  T* moved[64];
  T* next = scratch;
  for (int l = 0; l < net.count; ++l) {
    moved[l] = next;
    next += rows * net.layers[l].out_pad;
  }
  const MlpLayer<T>& last = net.layers[net.count - 1];
  T* const pushed = moved[net.count - 1];
  forward_along(net, v, begin, rows, moved, static_cast<T* const*>(nullptr), sloped(last, begin, pushed));
  for (std::int64_t i = 0; i < rows; ++i) {
    __builtin_memcpy(out + (begin + i) * last.out, pushed + i * last.out_pad, last.out * sizeof(T));
  }
}

// The loss's gradient: δᵀ·a of every layer.
template <class T>
void gradient_tile(const Mlp<T>& net, const MlpSum<T>& sum, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = end - begin;
  for (int l = 0; l < net.count; ++l) {
    const MlpLayer<T>& layer = net.layers[l];
    const T* const delta = layer.delta + begin * layer.out_pad;
    const Factors<T> outer = {delta, layer.out_pad, entering(net, l, begin), layer.in_pad, static_cast<int>(rows)};
    add_outer(layer, sum.flipped[l], &outer, 1, sum.weight[l]);
    column_sums(delta, rows, layer.out_pad, sum.bias[l]);
  }
}

// Σ over rows and outputs of the squared derivatives, weighted as Gauss-Newton weights them: its diagonal.
template <class T>
void diagonal_tile(const Mlp<T>& net, const MlpSum<T>& sum, std::int64_t begin, std::int64_t end, T* scratch) {
  constexpr int L = Lanes<T>::count;
  const std::int64_t rows = end - begin;
  const int depth = static_cast<int>(rows), count = net.count;
  T* squares[64];
  T* next = scratch;
  std::int64_t widest = net.in_pad * rows;
  for (int l = 0; l < count; ++l) {
    const std::int64_t size = rows * net.layers[l].out_pad;
    squares[l] = next;
    next += size;
    widest = size > widest ? size : widest;
    for (std::int64_t i = 0; i < size; ++i) squares[l][i] = T(0);
  }
  T *up = next, *down = next + widest;
  const MlpLayer<T>& last = net.layers[count - 1];
  for (int k = 0; k < last.out; ++k) {
    for (std::int64_t i = 0; i < rows * last.out_pad; ++i) up[i] = T(0);
    for (std::int64_t i = 0; i < rows; ++i) up[i * last.out_pad + k] = T(1);
    for (int l = count - 1; l >= 0; --l) {
      const MlpLayer<T>& layer = net.layers[l];
      for (std::int64_t i = 0; i < rows; ++i) {
        // Row i's share of the loss's curvature in output k, for all its derivatives alike.
        const Pack<T> weight = all(net.output[(begin + i) * last.out_pad + k]);
        for (std::int64_t j = 0; j < layer.out_pad; j += L) {
          const Pack<T> x = load(up + i * layer.out_pad + j);
          T* const to = squares[l] + i * layer.out_pad + j;
          store(to, load(to) + weight * x * x);
        }
      }
      if (l == 0) break;
      const Factors<T> back = {up, layer.out_pad, layer.weight, layer.in_pad, layer.out};
      rows_product(&back, 1, static_cast<const T*>(nullptr), rows, layer.in_pad,
                   sloped(net.layers[l - 1], begin, down));
      T* const turn = up;
      up = down;
      down = turn;
    }
  }
  for (int l = 0; l < count; ++l) {
    const MlpLayer<T>& layer = net.layers[l];
    const T* const a = entering(net, l, begin);
    for (std::int64_t i = 0; i < rows * layer.in_pad; i += L) store(up + i, load(a + i) * load(a + i));
    const Factors<T> outer = {squares[l], layer.out_pad, up, layer.in_pad, depth};
    add_outer(layer, sum.flipped[l], &outer, 1, sum.weight[l]);
    column_sums(squares[l], rows, layer.out_pad, sum.bias[l]);
  }
}

}  // namespace BIDFCL_ARCH
}  // namespace bidfcl
