// The arithmetic that the row functions of core/ leave to their executor, for plain numbers.
#pragma once

#include <cmath>

#include "core/drp.h"
#include "core/pifd.h"
#include "core/policy.h"
#include "core/select.h"

namespace bidfcl {

template <>
BIDFCL_HD float larger(float a, float b) {
  return a > b ? a : b;
}
template <>
BIDFCL_HD double larger(double a, double b) {
  return a > b ? a : b;
}
template <>
BIDFCL_HD float smaller(float a, float b) {
  return a < b ? a : b;
}
template <>
BIDFCL_HD double smaller(double a, double b) {
  return a < b ? a : b;
}
template <>
BIDFCL_HD float magnitude(float a) {
  return a < 0 ? -a : a;
}
template <>
BIDFCL_HD double magnitude(double a) {
  return a < 0 ? -a : a;
}

BIDFCL_HD float multiply_add(float a, float b, float c) { return std::fmaf(a, b, c); }
BIDFCL_HD double multiply_add(double a, double b, double c) { return std::fma(a, b, c); }

template <>
BIDFCL_HD float score<true, float>(float value, float multiplier, float cost) {
  return multiply_add(-multiplier, cost, value);
}
template <>
BIDFCL_HD double score<true, double>(double value, double multiplier, double cost) {
  return multiply_add(-multiplier, cost, value);
}

template <>
BIDFCL_HD float one_over(float x) {
  return 1 / x;
}
template <>
BIDFCL_HD double one_over(double x) {
  return 1 / x;
}
template <>
BIDFCL_HD float exp2_nonpositive(float x) {
  return exp2f(x);
}
template <>
BIDFCL_HD double exp2_nonpositive(double x) {
  return exp2(x);
}
template <>
BIDFCL_HD float exp_nonpositive(float x) {
  return expf(x);
}
template <>
BIDFCL_HD double exp_nonpositive(double x) {
  return exp(x);
}
template <>
BIDFCL_HD float log_one_plus(float x) {
  return log1pf(x);
}
template <>
BIDFCL_HD double log_one_plus(double x) {
  return log1p(x);
}

}  // namespace bidfcl
