// Activations against the C++ library's functions in long double, and their derivatives against differences of those.

#include "../../csrc/core/activation.h"

#include <cmath>
#include <initializer_list>
#include <limits>

#include "check.h"

using bidfcl::Activation;

namespace {

// σ itself, from the library alone.
long double expected(Activation kind, long double p, long double z) {
  switch (kind) {
    case Activation::identity:
      return z;
    case Activation::relu:
      return z > 0 ? z : 0;
    case Activation::leaky_relu:
      return z > 0 ? z : p * z;
    case Activation::tanh:
      return std::tanh(z);
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-z));
    case Activation::silu:
      return z / (1 + std::exp(-z));
    case Activation::gelu:
      return z * std::erfc(-z / std::sqrt(2.0L)) / 2;
    case Activation::gelu_tanh:
      return z / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0L)) * (z + 0.044715L * z * z * z)));
    case Activation::softplus:
      return p * z > 20 ? z : std::log1p(std::exp(p * z)) / p;
    case Activation::elu:
      return z > 0 ? z : p * std::expm1(z);
  }
  return 0;
}

constexpr Activation kAll[] = {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::tanh,
                               Activation::sigmoid,  Activation::silu, Activation::gelu,       Activation::gelu_tanh,
                               Activation::softplus, Activation::elu};

template <class T>
bool near(T found, long double wanted, double relative, double absolute) {
  return std::fabs(static_cast<long double>(found) - wanted) <= relative * std::fabs(wanted) + absolute;
}

template <class T>
void values_and_derivatives(double relative) {
  for (const Activation kind : kAll) {
    const T p = static_cast<T>(kind == Activation::leaky_relu ? 0.2 : 1.25);
    for (int k = -420; k <= 420; ++k) {
      const T z = static_cast<T>(k * 0.05 + 0.013);
      const bidfcl::Bend<T> b = bidfcl::activate(kind, p, z);
      const long double at = z, h = 1e-4L;
      if (std::fabs(p * at - 20) < 2 * h) continue;  // Softplus has a step of 2e-9 there, by definition
      const auto f = [&](long double x) { return expected(kind, p, x); };
      CHECK(near(b.value, f(at), relative, relative));
      CHECK(near(b.first, (f(at + h) - f(at - h)) / (2 * h), relative, relative + 1e-7));
      CHECK(near(b.second, (f(at + h) - 2 * f(at) + f(at - h)) / (h * h), relative, 10 * relative + 1e-6));
      const bidfcl::Slope how = bidfcl::slope_of(kind);
      if (how != bidfcl::Slope::kept) {
        CHECK(near(bidfcl::slope_at(how, kind == Activation::relu ? T(0) : p, b.value), b.first, 0, 4 * relative));
      }
      CHECK(!bidfcl::piecewise_linear(kind) || b.second == 0);
    }
  }
}

template <class T>
void exponentials(double relative) {
  for (int k = -8000; k <= 8000; ++k) {
    const T x = static_cast<T>(k * 0.0105);
    CHECK(near(bidfcl::exp_minus_one(x), std::expm1(static_cast<long double>(x)), relative, 0));
    const T tiny = x * static_cast<T>(1e-9);
    CHECK(near(bidfcl::exp_minus_one(tiny), std::expm1(static_cast<long double>(tiny)), relative, 0));
  }
  CHECK(bidfcl::exp_minus_one(static_cast<T>(-1e30)) == T(-1));
  CHECK(bidfcl::exp_minus_one(-std::numeric_limits<T>::infinity()) == T(-1));
  CHECK(std::isfinite(bidfcl::exp_minus_one(static_cast<T>(80))));
  CHECK(bidfcl::exp_minus_one(static_cast<T>(0)) == T(0));
}

typedef float FourFloats __attribute__((vector_size(16)));
typedef double TwoDoubles __attribute__((vector_size(16)));

// A lane of a pack is a number by itself.
template <class T, class Pack>
void packs() {
  constexpr int lanes = 16 / sizeof(T);
  for (const Activation kind : kAll) {
    for (int k = -100; k <= 100; ++k) {
      Pack z{};
      for (int l = 0; l < lanes; ++l) z[l] = static_cast<T>(0.31 * k + 0.7 * l);
      const auto wide = bidfcl::activate(kind, bidfcl::number<Pack>(0.75), z);
      for (int l = 0; l < lanes; ++l) {
        const T one = z[l];
        const bidfcl::Bend<T> b = bidfcl::activate(kind, static_cast<T>(0.75), one);
        CHECK(wide.value[l] == b.value && wide.first[l] == b.first && wide.second[l] == b.second);
      }
    }
  }
}

void tails() {
  for (const Activation kind : kAll) {
    for (const double z : {-1e4, -800.0, 800.0, 1e4}) {
      const bidfcl::Bend<double> b = bidfcl::activate(kind, 0.5, z);
      CHECK(std::isfinite(b.value) && std::isfinite(b.first) && std::isfinite(b.second));
      CHECK(std::fabs(b.second) < 1e-100);
    }
    const bidfcl::Bend<double> none = bidfcl::activate(kind, 0.5, std::nan(""));
    CHECK(std::isnan(none.value));
  }
}

}  // namespace

int main() {
  exponentials<double>(4e-16);
  exponentials<float>(3e-7);
  values_and_derivatives<double>(1e-14);
  values_and_derivatives<float>(2e-6);
  packs<double, TwoDoubles>();
  packs<float, FourFloats>();
  tails();
  return finish();
}
