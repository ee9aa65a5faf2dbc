// Threads that wait asleep. A caller works on its own job and takes whoever comes to help; it never waits for a helper
// that has not started.
#pragma once

#include <cstdint>

namespace bidfcl {

// Calls body(context, k) for every k in [0, count), from the caller and up to `threads` − 1 helpers. The first
// exception stops the rest and is thrown here.
void run_parallel(std::int64_t count, int threads, void (*body)(void* context, std::int64_t k), void* context);

// How many users a thread takes at a time. No bit of any answer depends on it, which tests see by setting it.
std::int64_t users_at_a_time();
void set_users_at_a_time(std::int64_t users);

// In how many parts they are taken.
std::int64_t parts_of(std::int64_t users);

}  // namespace bidfcl
