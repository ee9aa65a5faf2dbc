// Devices, and memory for callers who bring none.

#include "cuda/api.h"
#include "cuda/machine/launch.cuh"

namespace bidfcl {
namespace cuda {
namespace {

Device device_of(int index, void* stream) { return {index, stream, nullptr, nullptr}; }

}  // namespace

int device_count() {
  std::string why;
  return count_devices(why);
}

std::string describe() {
  std::string why, out = runtime_name();
  const int count = count_devices(why);
  for (int index = 0; index < count; ++index) out += "; " + std::to_string(index) + ": " + name_device(index);
  return count > 0 ? out : out + ": " + (why.empty() ? "no device" : why);
}

std::int64_t waits() { return bidfcl::waits(); }

void* take_memory(int index, void* stream, std::int64_t bytes) {
  const Device device = device_of(index, stream);
  const OnDevice use(device);
  return bidfcl::take_memory(device, bytes);
}

void give_memory(int index, void* stream, void* at) {
  const Device device = device_of(index, stream);
  const OnDevice use(device);
  bidfcl::give_memory(device, at);
}

void to_device(int index, void* stream, void* to, const void* from, std::int64_t bytes) {
  const Device device = device_of(index, stream);
  const OnDevice use(device);
  bidfcl::upload(device, to, from, bytes);
}

void to_host(int index, void* stream, void* to, const void* from, std::int64_t bytes) {
  const Device device = device_of(index, stream);
  const OnDevice use(device);
  bidfcl::download(device, to, from, bytes);
}

}  // namespace cuda
}  // namespace bidfcl
