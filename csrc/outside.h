// For whoever calls the library from another language: floating point as IEEE 754 has it, and an end that is no crash.
#pragma once

#include <unistd.h>

#include <cfenv>

namespace bidfcl {

// Any library in the process may have set this thread to flush the smallest numbers to zero, or to round another way;
// then the plan would depend on which thread met which user. Threads that are started meanwhile inherit the default.
class DefaultArithmetic {
 public:
  DefaultArithmetic() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultArithmetic() { std::fesetenv(&before_); }
  DefaultArithmetic(const DefaultArithmetic&) = delete;
  DefaultArithmetic& operator=(const DefaultArithmetic&) = delete;

 private:
  std::fenv_t before_;
};

// Calls `back`, which returns the interpreter's lock to this thread. At the interpreter's end CPython up to 3.13 ends a
// thread that asks for its lock by unwinding the stack, which a destructor turns into an abort of the whole process.
// Such a thread waits here instead, for the few moments that the process has left. The handler must not end: what
// unwinds a thread may not be swallowed.
template <class Back>
void return_or_rest(Back back) {
  try {
    back();
  } catch (...) {
    for (;;) pause();
  }
}

}  // namespace bidfcl
