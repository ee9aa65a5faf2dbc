// The only file that includes pybind11. No logic: addresses in, addresses out.

#include <pybind11/pybind11.h>

#include <cstring>
#include <memory>

#include "capi.h"

namespace py = pybind11;
using Address = std::uintptr_t;

namespace {

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

// (address, stride over problems, users, treatments) of one array.
struct Array {
  Address data;
  std::int64_t stride[3];
};

Array array_of(const py::tuple& t) {
  return {t[0].cast<Address>(), {t[1].cast<std::int64_t>(), t[2].cast<std::int64_t>(), t[3].cast<std::int64_t>()}};
}

bidfcl::Problems problems_of(int dtype, const py::tuple& value, const py::tuple& cost, const py::tuple& open,
                             std::int64_t count, std::int64_t users, int items, Address start, Address stop,
                             Address offsets, Address budget, Address warm_start) {
  const Array v = array_of(value), c = array_of(cost), o = array_of(open);
  bidfcl::Problems p{};
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

bidfcl::Plans plans_of(std::int64_t choice_stride, Address choice, Address multiplier, Address value, Address spend,
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

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "C++ kernels of bidfcl_fast; call them through the backends.";
  py::class_<bidfcl::Problems>(m, "Problems").def(py::init(&problems_of));

  py::class_<bidfcl::Plans>(m, "Plans").def(py::init(&plans_of));

  m.def("mckp", [](const bidfcl::Problems& problems, bool fill, int threads, const bidfcl::Plans& plans) {
    py::gil_scoped_release nogil;
    bidfcl::mckp(problems, {fill, threads}, plans);
  });

  m.def("decide", [](const bidfcl::Problems& problems, Address multiplier, int threads, const bidfcl::Plans& plans) {
    py::gil_scoped_release nogil;
    bidfcl::decide(problems, pointer<const double>(multiplier), threads, plans);
  });
  m.def("contested", [](const bidfcl::Problems& problems, double multiplier, double margin, double value_unit,
                        double cost_unit, int threads, Address choice, Address users, Address totals) {
    py::gil_scoped_release nogil;
    return bidfcl::contested(problems, multiplier, margin, value_unit, cost_unit, threads,
                             pointer<std::int32_t>(choice), pointer<std::int32_t>(users),
                             pointer<std::int64_t>(totals));
  });

  m.def("frontier_new", [](const bidfcl::Problems& problems, int threads) {
    py::gil_scoped_release nogil;
    return reinterpret_cast<Address>(bidfcl::frontier_new(problems, threads));
  });
  m.def("frontier_arrays", [](Address handle) {
    const bidfcl::FrontierArrays a = bidfcl::frontier_arrays(pointer<void>(handle));
    return py::make_tuple(a.status, a.count, reinterpret_cast<Address>(a.budget), reinterpret_cast<Address>(a.value),
                          reinterpret_cast<Address>(a.multiplier));
  });
  m.def("frontier_free", [](Address handle) { bidfcl::frontier_free(pointer<void>(handle)); });

  m.def("arch_name", &bidfcl::arch_name);
  m.def("compiler_name", &bidfcl::compiler_name);
}
