// What a network's curvature does to its activations one by one; matrix products are the BLAS's.

#include "core/activation.h"
#include "cuda/api.h"
#include "cuda/machine/body.h"
#include "cuda/machine/launch.cuh"

namespace bidfcl {
namespace {

template <class T>
struct Activate {
  Activation kind;
  T parameter;
  const T* z;
  T *value, *first, *second;

  BIDFCL_HD void operator()(std::int64_t i) const {
    const Bend<T> bend = activate(kind, parameter, z[i]);
    value[i] = bend.value;
    first[i] = bend.first;
    if (second) second[i] = bend.second;
  }
};

// bent = second·moved, then moved *= first.
template <class T>
struct Slide {
  T* moved;
  const T *first, *second;
  T* bent;

  BIDFCL_HD void operator()(std::int64_t i) const {
    const T z = moved[i];
    if (bent) bent[i] = second[i] * z;
    moved[i] = first[i] * z;
  }
};

// back = first·back + bent.
template <class T>
struct Return {
  T* back;
  const T *first, *bent;

  BIDFCL_HD void operator()(std::int64_t i) const {
    const T g = first[i] * back[i];
    back[i] = bent ? g + bent[i] : g;
  }
};

template <class Once>
void once(const Device& device, std::int64_t count, const Once& what) {
  const OnDevice use(device);
  launch(device, plan_rows(1, count, 0, -1, limits_of(device)), Each<Once>(what, count));
}

}  // namespace

template <class T>
void cuda::mlp_activate(const Device& device, int kind, double parameter, std::int64_t count, const T* z, T* value,
                        T* first, T* second) {
  once(device, count, Activate<T>{static_cast<Activation>(kind), static_cast<T>(parameter), z, value, first, second});
}

template <class T>
void cuda::mlp_forward(const Device& device, std::int64_t count, T* moved, const T* first, const T* second, T* bent) {
  once(device, count, Slide<T>{moved, first, second, bent});
}

template <class T>
void cuda::mlp_back(const Device& device, std::int64_t count, T* back, const T* first, const T* bent) {
  once(device, count, Return<T>{back, first, bent});
}

#define BIDFCL_FOR(T)                                                                               \
  template void cuda::mlp_activate(const Device&, int, double, std::int64_t, const T*, T*, T*, T*); \
  template void cuda::mlp_forward(const Device&, std::int64_t, T*, const T*, const T*, T*);         \
  template void cuda::mlp_back(const Device&, std::int64_t, T*, const T*, const T*);
BIDFCL_FOR(float)
BIDFCL_FOR(double)
#undef BIDFCL_FOR

}  // namespace bidfcl
