// Where a call runs: the caller's device, stream and memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bidfcl {

// How often calls of this process have waited for a device.
inline std::atomic<std::int64_t>& waits() {
  static std::atomic<std::int64_t> count{0};
  return count;
}

struct Device {
  int index;
  void* stream;
  // Memory of the device that lives until the call's work on the stream is done; never null.
  void* (*allocate)(void* context, std::size_t bytes);
  void* context;

  template <class T>
  T* room(std::int64_t count) const {
    return static_cast<T*>(allocate(context, static_cast<std::size_t>(count > 0 ? count : 1) * sizeof(T)));
  }
};

}  // namespace bidfcl
