// The curvature of a network: memory, chunks of rows, and partial products added in a fixed order.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "../../capi.h"
#include "../machine/for_rows.h"
#include "kernels.h"

namespace bidfcl {
namespace {

// Zeroed memory whose rows start with a cache line.
template <class T>
class Block {
 public:
  T* take(std::int64_t size) {
    if (size > size_) {
      const std::size_t bytes = (static_cast<std::size_t>(size) * sizeof(T) + 63) / 64 * 64;
      memory_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
      if (!memory_) {
        size_ = 0;
        throw std::bad_alloc();
      }
      std::fill_n(memory_.get(), bytes / sizeof(T), T(0));
      size_ = size;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> memory_;
  std::int64_t size_ = 0;
};

// Rows that go through the network together, and the most parts that a product is added up from. Neither depends on
// the number of threads, so neither do the bits.
constexpr std::int64_t kTile = 96, kSmallTile = 48, kFewRows = 2048, kParts = 32;
// Numbers of a sum that one thread adds up.
constexpr std::int64_t kPiece = 8192;

class Network {
 public:
  virtual ~Network() = default;
  virtual void linearise(const MlpInput& input, int threads) = 0;
  virtual void product(const void* v, void* out, std::int64_t count, int threads) = 0;
  virtual void outputs(void* out) = 0;
  virtual void push(const void* v, void* out, int threads) = 0;
  virtual void gradient(void* out, int threads) = 0;
  virtual void diagonal(void* out, int threads) = 0;
};

template <class T>
class NetworkOf final : public Network {
 public:
  explicit NetworkOf(const MlpShape& shape) : kernels_(curvature_kernels<T>()) {
    layers_.resize(static_cast<std::size_t>(shape.count));
    std::int64_t parameters = 0;
    for (int l = 0; l < shape.count; ++l) {
      const MlpLayerShape& s = shape.layers[l];
      MlpLayer<T>& layer = layers_[static_cast<std::size_t>(l)];
      layer.in = s.in;
      layer.out = s.out;
      layer.in_pad = padded(s.in);
      layer.out_pad = padded(s.out);
      layer.activation = static_cast<Activation>(s.activation);
      layer.parameter = layer.activation == Activation::relu ? T(0) : static_cast<T>(s.parameter);
      layer.slope = slope_of(layer.activation);
      has_bias_.push_back(s.bias != 0);
      flipped_[l] = layer.in * layer.out_pad < layer.out * layer.in_pad;
      parameters += static_cast<std::int64_t>(s.in) * s.out + (s.bias ? s.out : 0);
    }
    parameters_ = parameters;
    net_.count = shape.count;
    net_.exact = shape.exact;
    net_.in_pad = layers_[0].in_pad;
    packed_size_ = 0;
    for (const MlpLayer<T>& layer : layers_) {
      packed_size_ += layer.out * layer.in_pad + layer.in * layer.out_pad + layer.out_pad;
      sum_size_ += std::max(layer.out * layer.in_pad, layer.in * layer.out_pad) + layer.out_pad;
    }
  }

  void linearise(const MlpInput& input, int threads) override {
    net_.rows = input.rows;
    tile_ = input.rows <= kFewRows ? kSmallTile : kTile;
    const std::int64_t tiles = (input.rows + tile_ - 1) / tile_;
    chunk_ = tile_ * std::max<std::int64_t>(1, (tiles + kParts - 1) / kParts);
    reserve();
    const T* theta = static_cast<const T*>(input.parameters);
    const Packed packed = pack(theta, weights_.take(packed_size_));
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      layers_[l].weight = packed.weight[l];
      layers_[l].transposed = packed.transposed[l];
      layers_[l].bias = packed.bias[l];
    }
    net_.layers = layers_.data();
    const MlpData<T> data = {static_cast<const T*>(input.inputs), input.input_stride,
                             static_cast<const T*>(input.targets), static_cast<const T*>(input.weight),
                             static_cast<T>(input.scale)};
    run(0, threads, [&](std::int64_t begin, std::int64_t end, T*, T* scratch) {
      kernels_.linearise(net_, data, begin, end, scratch);
    });
  }

  void product(const void* v, void* out, std::int64_t count, int threads) override {
    const Lease lease(*this);
    T* const memory = lease.work->directions.take(packed_size_ * count);
    std::vector<Packed> packed(static_cast<std::size_t>(count));
    for_chunks(count, 1, threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
      packed[static_cast<std::size_t>(k)] = pack(static_cast<const T*>(v) + k * parameters_, memory + k * packed_size_);
    });
    std::vector<MlpDirection<T>> along;
    for (const Packed& p : packed) along.push_back({p.weight.data(), p.transposed.data(), p.bias.data()});
    run_on(*lease.work, count, threads, [&](std::int64_t begin, std::int64_t end, T* sums, T* scratch) {
      for (std::int64_t k = 0; k < count; ++k) {
        const Sum sum(*this, sums + k * sum_size_);
        kernels_.product(net_, along[static_cast<std::size_t>(k)], sum.view(*this), begin, end, scratch);
      }
    });
    for_chunks(count, 1, threads, [&](std::int64_t k, std::int64_t, std::int64_t) {
      gather(*lease.work, k, count, static_cast<T*>(out) + k * parameters_, count == 1 ? threads : 1);
    });
  }

  void outputs(void* out) override {
    const MlpLayer<T>& last = layers_.back();
    T* to = static_cast<T*>(out);
    for (std::int64_t i = 0; i < net_.rows; ++i) to = std::copy_n(last.value + i * last.out_pad, last.out, to);
  }

  void push(const void* v, void* out, int threads) override {
    const Lease lease(*this);
    const Packed p = pack(static_cast<const T*>(v), lease.work->directions.take(packed_size_));
    const MlpDirection<T> along = {p.weight.data(), p.transposed.data(), p.bias.data()};
    run_on(*lease.work, 0, threads, [&](std::int64_t begin, std::int64_t end, T*, T* scratch) {
      kernels_.push(net_, along, begin, end, scratch, static_cast<T*>(out));
    });
  }

  void gradient(void* out, int threads) override {
    const Lease lease(*this);
    run_on(*lease.work, 1, threads, [&](std::int64_t begin, std::int64_t end, T* sums, T*) {
      const Sum sum(*this, sums);
      kernels_.gradient(net_, sum.view(*this), begin, end);
    });
    gather(*lease.work, 0, 1, static_cast<T*>(out), threads);
  }

  void diagonal(void* out, int threads) override {
    const Lease lease(*this);
    run_on(*lease.work, 1, threads, [&](std::int64_t begin, std::int64_t end, T* sums, T* scratch) {
      const Sum sum(*this, sums);
      kernels_.diagonal(net_, sum.view(*this), begin, end, scratch);
    });
    gather(*lease.work, 0, 1, static_cast<T*>(out), threads);
  }

 private:
  static constexpr int kMostLayers = 64;
  static constexpr std::int64_t kLine = 64 / sizeof(T);

  // What one call works in. Calls from several threads at once each take their own.
  struct Work {
    Block<T> directions, sums, scratch;
  };
  struct Lease {
    explicit Lease(NetworkOf& network) : owner(network) {
      const std::lock_guard<std::mutex> lock(owner.mutex_);
      if (owner.idle_.empty()) {
        work = std::make_unique<Work>();
      } else {
        work = std::move(owner.idle_.back());
        owner.idle_.pop_back();
      }
    }
    ~Lease() {
      const std::lock_guard<std::mutex> lock(owner.mutex_);
      owner.idle_.push_back(std::move(work));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    NetworkOf& owner;
    std::unique_ptr<Work> work;
  };

  struct Packed {
    std::vector<const T*> weight, transposed, bias;
  };

  // Where each layer's part of a sum stands in a chunk's memory.
  struct Sum {
    Sum(const NetworkOf& network, T* memory) {
      for (int l = 0; l < network.net_.count; ++l) {
        const MlpLayer<T>& layer = network.layers_[static_cast<std::size_t>(l)];
        weight[l] = memory;
        memory += std::max(layer.out * layer.in_pad, layer.in * layer.out_pad);
        bias[l] = memory;
        memory += layer.out_pad;
      }
    }
    MlpSum<T> view(const NetworkOf& network) const { return {weight, bias, network.flipped_}; }
    T* weight[kMostLayers];
    T* bias[kMostLayers];
  };

  std::int64_t padded(std::int64_t x) const { return (x + kernels_.lanes - 1) / kernels_.lanes * kernels_.lanes; }

  // Flat parameters → both orientations of every weight, and the biases, padded with zeros.
  Packed pack(const T* flat, T* memory) const {
    Packed out;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const MlpLayer<T>& layer = layers_[l];
      const std::int64_t in = layer.in, rows = layer.out;
      T* weight = memory;
      T* transposed = weight + rows * layer.in_pad;
      T* bias = transposed + in * layer.out_pad;
      memory = bias + layer.out_pad;
      for (std::int64_t o = 0; o < rows; ++o) {
        T* to = weight + o * layer.in_pad;
        std::copy_n(flat + o * in, in, to);
        std::fill(to + in, to + layer.in_pad, T(0));
      }
      // A cache line of the result at a time, each from as many rows.
      for (std::int64_t o = 0; o < layer.out_pad; o += kLine) {
        const std::int64_t wide = std::min(o + kLine, layer.out_pad) - o, used = std::min(o + wide, rows) - o;
        for (std::int64_t i = 0; i < in; ++i) {
          T* to = transposed + i * layer.out_pad + o;
          const T* from = flat + o * in + i;
          for (std::int64_t k = 0; k < used; ++k) to[k] = from[k * in];
          for (std::int64_t k = used; k < wide; ++k) to[k] = T(0);
        }
      }
      flat += rows * in;
      std::fill(bias, memory, T(0));
      if (has_bias_[l]) {
        std::copy_n(flat, rows, bias);
        flat += rows;
      }
      out.weight.push_back(weight);
      out.transposed.push_back(transposed);
      out.bias.push_back(bias);
    }
    return out;
  }

  void reserve() {
    const std::int64_t rows = net_.rows;
    std::int64_t size = rows * net_.in_pad;
    for (int pass = 0; pass < 2; ++pass) {
      T* next = pass ? activations_.take(size) : nullptr;
      const auto part = [&](std::int64_t pad, bool wanted) -> T* {
        if (!wanted) return nullptr;
        if (!pass) {
          size += rows * pad;
          return nullptr;
        }
        T* const here = next;
        next += rows * pad;
        return here;
      };
      if (pass) {
        net_.inputs = next;
        next += rows * net_.in_pad;
      }
      for (std::size_t l = 0; l < layers_.size(); ++l) {
        MlpLayer<T>& layer = layers_[l];
        const bool hidden = l + 1 < layers_.size();
        layer.value = part(layer.out_pad, true);
        layer.first = part(layer.out_pad, layer.slope == Slope::kept);
        layer.delta = part(layer.out_pad, net_.exact);
        layer.bend = part(layer.out_pad, net_.exact && hidden && !piecewise_linear(layer.activation));
      }
      net_.output = part(layers_.back().out_pad, true);
    }
  }

  // body(begin, end, the chunk's sums, scratch) for every tile; `count` sums a chunk, zeroed.
  template <class Body>
  void run(std::int64_t count, int threads, const Body& body) {
    const Lease lease(*this);
    run_on(*lease.work, count, threads, body);
  }

  template <class Body>
  void run_on(Work& work, std::int64_t count, int threads, const Body& body) {
    const std::int64_t parts = (net_.rows + chunk_ - 1) / chunk_;
    const std::int64_t scratch_size = (mlp_scratch(net_, tile_) + 15) / 16 * 16;
    T* const sums = work.sums.take(std::max<std::int64_t>(1, parts * count * sum_size_));
    T* const scratch = work.scratch.take(parts * scratch_size);
    for_chunks(net_.rows, chunk_, threads, [&](std::int64_t k, std::int64_t begin, std::int64_t end) {
      T* const own = sums + k * count * sum_size_;
      std::fill_n(own, count * sum_size_, T(0));
      for (std::int64_t at = begin; at < end; at += tile_) {
        body(at, std::min(at + tile_, end), own, scratch + k * scratch_size);
      }
    });
  }

  // The chunks' sums number `which`, added in the order of the chunks, as flat parameters.
  void gather(Work& work, std::int64_t which, std::int64_t count, T* out, int threads) {
    const std::int64_t parts = (net_.rows + chunk_ - 1) / chunk_;
    T* const sums = work.sums.take(0) + which * sum_size_;
    for_chunks(sum_size_, kPiece, threads, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = 1; k < parts; ++k) {
        const T* from = sums + k * count * sum_size_;
        for (std::int64_t i = begin; i < end; ++i) sums[i] += from[i];
      }
    });
    const Sum sum(*this, sums);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const MlpLayer<T>& layer = layers_[l];
      const T* const weight = sum.weight[l];
      for (std::int64_t o = 0; o < layer.out; ++o) {
        if (!flipped_[l]) {
          out = std::copy_n(weight + o * layer.in_pad, layer.in, out);
          continue;
        }
        for (std::int64_t i = 0; i < layer.in; ++i) *out++ = weight[i * layer.out_pad + o];
      }
      if (has_bias_[l]) out = std::copy_n(sum.bias[l], layer.out, out);
    }
  }

  const CurvatureKernels<T>& kernels_;
  Mlp<T> net_{};
  std::vector<MlpLayer<T>> layers_;
  std::vector<bool> has_bias_;
  bool flipped_[kMostLayers] = {};
  std::int64_t parameters_ = 0, packed_size_ = 0, sum_size_ = 0, tile_ = kTile, chunk_ = kTile;
  Block<T> weights_, activations_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Work>> idle_;
};

}  // namespace

void* mlp_new(const MlpShape& shape) {
  if (shape.dtype == kFloat32) return static_cast<Network*>(new NetworkOf<float>(shape));
  return static_cast<Network*>(new NetworkOf<double>(shape));
}
void mlp_linearise(void* handle, const MlpInput& input, int threads) {
  static_cast<Network*>(handle)->linearise(input, threads);
}
void mlp_product(void* handle, const void* v, void* out, std::int64_t count, int threads) {
  static_cast<Network*>(handle)->product(v, out, count, threads);
}
void mlp_outputs(void* handle, void* out) { static_cast<Network*>(handle)->outputs(out); }
void mlp_push(void* handle, const void* v, void* out, int threads) {
  static_cast<Network*>(handle)->push(v, out, threads);
}
void mlp_gradient(void* handle, void* out, int threads) { static_cast<Network*>(handle)->gradient(out, threads); }
void mlp_diagonal(void* handle, void* out, int threads) { static_cast<Network*>(handle)->diagonal(out, threads); }
void mlp_free(void* handle) { delete static_cast<Network*>(handle); }

}  // namespace bidfcl
