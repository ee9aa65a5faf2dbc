// What Python's tuples of addresses and strides become. For the files of bindings alone.
#pragma once

#include <pybind11/pybind11.h>

#include <cstring>

#include "capi.h"

namespace bidfcl {

namespace py = pybind11;
using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

// (address, stride over problems, users, treatments) of one array.
struct Array {
  Address data;
  std::int64_t stride[3];
};

inline Array array_of(const py::tuple& t) {
  return {t[0].cast<Address>(), {t[1].cast<std::int64_t>(), t[2].cast<std::int64_t>(), t[3].cast<std::int64_t>()}};
}

inline Problems problems_of(int dtype, const py::tuple& value, const py::tuple& cost, const py::tuple& open,
                            std::int64_t count, std::int64_t users, int items, Address start, Address stop,
                            Address offsets, Address budget, Address warm_start) {
  const Array v = array_of(value), c = array_of(cost), o = array_of(open);
  Problems p{};
  p.dtype = dtype;
  p.value = pointer<const void>(v.data);
  p.cost = pointer<const void>(c.data);
  p.open = pointer<const std::uint8_t>(o.data);
  std::memcpy(p.value_stride, v.stride, sizeof v.stride);
  std::memcpy(p.cost_stride, c.stride, sizeof c.stride);
  std::memcpy(p.open_stride, o.stride, sizeof o.stride);
  p.count = count;
  p.users = users;
  p.items = items;
  p.start = pointer<const std::int64_t>(start);
  p.stop = pointer<const std::int64_t>(stop);
  p.offsets = pointer<const std::int64_t>(offsets);
  p.budget = pointer<const double>(budget);
  p.warm_start = pointer<const double>(warm_start);
  return p;
}

inline Plans plans_of(std::int64_t choice_stride, Address choice, Address multiplier, Address value, Address spend,
                      Address dual_bound, Address gap, Address least_budget, Address value_unit, Address cost_unit,
                      Address status, Address rows_read, Address sweeps, Address active) {
  return {pointer<std::int32_t>(choice), choice_stride,
          pointer<double>(multiplier),   pointer<double>(value),
          pointer<double>(spend),        pointer<double>(dual_bound),
          pointer<double>(gap),          pointer<double>(least_budget),
          pointer<double>(value_unit),   pointer<double>(cost_unit),
          pointer<std::int32_t>(status), pointer<std::int64_t>(rows_read),
          pointer<std::int64_t>(sweeps), pointer<std::int64_t>(active)};
}

// A tensor: by its own methods, a stride of zero where a leading dimension is missing.
inline const void* read_tensor(PyObject* tensor, std::int64_t* stride, int count) {
  static PyObject* const data_ptr = PyUnicode_InternFromString("data_ptr");
  static PyObject* const strides = PyUnicode_InternFromString("stride");
  const auto address = py::reinterpret_steal<py::object>(PyObject_CallMethodObjArgs(tensor, data_ptr, nullptr));
  if (!address) throw py::error_already_set();
  if (count > 0) {
    const auto given = py::reinterpret_steal<py::object>(PyObject_CallMethodObjArgs(tensor, strides, nullptr));
    if (!given) throw py::error_already_set();
    const Py_ssize_t missing = count - (PyTuple_Check(given.ptr()) ? PyTuple_GET_SIZE(given.ptr()) : -1);
    if (missing < 0 || missing > 1) throw py::type_error("a tensor has too few or too many dimensions");
    stride[0] = 0;
    for (Py_ssize_t k = missing; k < count; ++k)
      stride[k] = PyLong_AsLongLong(PyTuple_GET_ITEM(given.ptr(), k - missing));
  }
  return PyLong_AsVoidPtr(address.ptr());
}

// Arrays of a loss: a tensor, (address, strides...), or None for null. Item by item, since a call on a small batch must
// not cost more than its arithmetic.
inline const void* read_strided(const py::handle& given, std::int64_t* stride, int count) {
  if (given.is_none()) return nullptr;
  PyObject* const t = given.ptr();
  if (!PyTuple_Check(t)) return read_tensor(t, stride, count);
  if (PyTuple_GET_SIZE(t) != count + 1) throw py::type_error("expected (address, strides...)");
  for (int k = 0; k < count; ++k) stride[k] = PyLong_AsLongLong(PyTuple_GET_ITEM(t, k + 1));
  return PyLong_AsVoidPtr(PyTuple_GET_ITEM(t, 0));
}

inline LossCall loss_of(int storage, const py::tuple& arrays, const py::tuple& sizes, const py::tuple& rule) {
  LossCall c{};
  c.storage = storage;
  c.value = read_strided(arrays[0], c.value_stride, 3);
  c.cost = read_strided(arrays[1], c.cost_stride, 3);
  c.open = static_cast<const std::uint8_t*>(read_strided(arrays[2], c.open_stride, 3));
  c.treatment = static_cast<const std::int64_t*>(read_strided(arrays[3], c.treatment_stride, 2));
  c.weight = read_strided(arrays[4], c.weight_stride, 2);
  c.outcome = read_strided(arrays[5], c.outcome_stride, 2);
  c.cost_outcome = read_strided(arrays[6], c.cost_outcome_stride, 2);
  c.multiplier = static_cast<const double*>(read_strided(arrays[7], nullptr, 0));
  c.price = static_cast<const double*>(read_strided(arrays[8], nullptr, 0));
  c.turn = static_cast<const double*>(read_strided(arrays[9], nullptr, 0));
  c.scale = static_cast<const double*>(read_strided(arrays[10], nullptr, 0));
  c.value_turn = read_strided(arrays[11], c.value_turn_stride, 3);
  c.cost_turn = read_strided(arrays[12], c.cost_turn_stride, 3);
  c.value_out = const_cast<void*>(read_strided(arrays[13], nullptr, 0));
  c.cost_out = const_cast<void*>(read_strided(arrays[14], nullptr, 0));
  c.totals = static_cast<double*>(const_cast<void*>(read_strided(arrays[15], nullptr, 0)));
  c.count = sizes[0].cast<std::int64_t>();
  c.users = sizes[1].cast<std::int64_t>();
  c.items = sizes[2].cast<int>();
  c.multipliers = sizes[3].cast<int>();
  c.rule = {rule[0].cast<int>(), rule[1].cast<double>(), rule[2].cast<double>(), rule[3].cast<bool>()};
  if (PyErr_Occurred()) throw py::error_already_set();
  return c;
}

}  // namespace bidfcl
