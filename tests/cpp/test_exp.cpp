// The exponential of the losses against the C library's in long double: error in units in the last place, flush to
// zero, NaN.

#include <cmath>
#include <cstdio>
#include <limits>

#include "../../csrc/cpu/machine/exp.h"
#include "check.h"

namespace {

using namespace bidfcl::BIDFCL_ARCH;

template <class T>
T one(T x) {
  return exp_pack<T>(Lanes<T>::all(x))[0];
}

template <class T>
double worst_ulp(T least, int steps) {
  double worst = 0;
  for (int k = 0; k <= steps; ++k) {
    const T x = static_cast<T>(static_cast<double>(least) * k / steps);
    const long double exact = std::exp(static_cast<long double>(x));
    const T nearest = static_cast<T>(exact);
    const long double ulp = std::nextafter(nearest, std::numeric_limits<T>::infinity()) - nearest;
    const double error = static_cast<double>(std::fabs(static_cast<long double>(one(x)) - exact) / ulp);
    CHECK(error < 1.5);
    worst = error > worst ? error : worst;
  }
  return worst;
}

template <class T>
void edges(T below) {
  const T infinite = std::numeric_limits<T>::infinity();
  CHECK(one(T{0}) == 1);
  CHECK(one(below) == 0);
  CHECK(one(-infinite) == 0);
  CHECK(std::isnan(one(std::numeric_limits<T>::quiet_NaN())));
}

}  // namespace

int main() {
  const double single = worst_ulp<float>(-87.33f, 200000), twice = worst_ulp<double>(-708.39, 200000);
  std::fprintf(stderr, "largest error: %.2f ulp in float, %.2f in double\n", single, twice);
  edges<float>(-87.34f);
  edges<double>(-708.4);
  return finish();
}
