// One source, several instruction sets: files compiled per target live in a namespace named after it, each with a table
// of its kernels, and arch.cpp says which of them runs.
#pragma once

#include <type_traits>

#ifndef BIDFCL_ARCH
#define BIDFCL_ARCH generic
#endif

// A program of one source, as tests are, has no other target's tables to choose from.
#if defined(__x86_64__) && !defined(BIDFCL_GENERIC_ONLY)
#define BIDFCL_SEVERAL_ARCHES 1
#else
#define BIDFCL_SEVERAL_ARCHES 0
#endif

namespace bidfcl {

enum class Arch { kGeneric, kAvx2, kAvx512 };

// The instruction set in use: the widest this machine has, or the one BIDFCL_ARCH in the environment names.
Arch arch();

// The kernels of one instruction set, for both types of number.
template <template <class> class Kernels>
struct Table {
  Kernels<float> f32;
  Kernels<double> f64;

  template <class T>
  const Kernels<T>& of() const {
    if constexpr (std::is_same_v<T, float>) return f32;
    else return f64;
  }
};

}  // namespace bidfcl

// In namespace bidfcl: declares `table` in every target's namespace, and `chosen<T>()`, the kernels in use.
#if BIDFCL_SEVERAL_ARCHES
#define BIDFCL_TABLES(Kernels, table, chosen) \
  namespace generic {                         \
  extern const Table<Kernels> table;          \
  }                                           \
  namespace avx2 {                            \
  extern const Table<Kernels> table;          \
  }                                           \
  namespace avx512 {                          \
  extern const Table<Kernels> table;          \
  }                                           \
  template <class T>                          \
  const Kernels<T>& chosen() {                \
    switch (arch()) {                         \
      case Arch::kAvx512:                     \
        return avx512::table.of<T>();         \
      case Arch::kAvx2:                       \
        return avx2::table.of<T>();           \
      default:                                \
        return generic::table.of<T>();        \
    }                                         \
  }
#else
#define BIDFCL_TABLES(Kernels, table, chosen) \
  namespace generic {                         \
  extern const Table<Kernels> table;          \
  }                                           \
  template <class T>                          \
  const Kernels<T>& chosen() {                \
    return generic::table.of<T>();            \
  }
#endif
