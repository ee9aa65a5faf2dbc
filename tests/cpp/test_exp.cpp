// The exponentials of the losses against the C library's in long double: error in units in the last place, flush to
// zero, NaN.

#include <cmath>
#include <cstdio>
#include <limits>

#include "../../csrc/cpu/machine/exp.h"
#include "check.h"

namespace {

using namespace bidfcl::BIDFCL_ARCH;

template <class T>
T natural(T x) {
  return exp_pack<T>(Lanes<T>::all(x))[0];
}
template <class T>
T binary(T x) {
  return exp2_pack<T>(Lanes<T>::all(x))[0];
}
long double exact(long double x, bool base_two) { return base_two ? std::exp2(x) : std::exp(x); }

template <class T>
double worst_ulp(T (*one)(T), bool base_two, T least, int steps) {
  double worst = 0;
  for (int k = 0; k <= steps; ++k) {
    const T x = static_cast<T>(static_cast<double>(least) * k / steps);
    const long double want = exact(x, base_two);
    const T nearest = static_cast<T>(want);
    const long double ulp = std::nextafter(nearest, std::numeric_limits<T>::infinity()) - nearest;
    const double error = static_cast<double>(std::fabs(static_cast<long double>(one(x)) - want) / ulp);
    CHECK(error < 1.5);
    worst = error > worst ? error : worst;
  }
  return worst;
}

template <class T>
void edges(T (*one)(T), T below) {
  const T infinite = std::numeric_limits<T>::infinity();
  CHECK(one(T{0}) == 1);
  CHECK(one(below) == 0);
  CHECK(one(-infinite) == 0);
  CHECK(std::isnan(one(std::numeric_limits<T>::quiet_NaN())));
}

}  // namespace

int main() {
  const double natural_float = worst_ulp<float>(natural, false, -87.33f, 200000);
  const double natural_double = worst_ulp<double>(natural, false, -708.39, 200000);
  const double binary_float = worst_ulp<float>(binary, true, -126.0f, 200000);
  const double binary_double = worst_ulp<double>(binary, true, -1022.0, 200000);
  std::fprintf(stderr, "largest error: e to the x %.2f ulp in float, %.2f in double; 2 to the x %.2f, %.2f\n",
               natural_float, natural_double, binary_float, binary_double);
  edges<float>(natural, -87.34f);
  edges<double>(natural, -708.4);
  edges<float>(binary, -126.6f);
  edges<double>(binary, -1022.6);
  return finish();
}
