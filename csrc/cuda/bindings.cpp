// The module _C_cuda. No logic: addresses in, addresses out.

#include "arguments.h"
#include "cuda/api.h"

namespace bidfcl {
namespace {

// (device, stream, allocate): allocate(bytes) returns the address of memory that lives until the call has been made.
struct Place {
  Device device;
  py::function allocate;

  explicit Place(const py::tuple& t)
      : device{t[0].cast<int>(), pointer<void>(t[1].cast<Address>()), &Place::room, this},
        allocate(t[2].cast<py::function>()) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  static void* room(void* self, std::size_t bytes) {
    const py::gil_scoped_acquire gil;
    return pointer<void>(static_cast<Place*>(self)->allocate(bytes).cast<Address>());
  }
};

template <class T>
void define_mlp(py::module_& m, const std::string& bits) {
  const auto named = [&](const char* stem) { return stem + bits; };
  m.def(named("mlp_activate").c_str(), [](const py::tuple& where, int kind, double parameter, std::int64_t count,
                                          Address z, Address value, Address first, Address second) {
    Place place(where);
    cuda::mlp_activate(place.device, kind, parameter, count, pointer<const T>(z), pointer<T>(value), pointer<T>(first),
                       pointer<T>(second));
  });
  m.def(named("mlp_forward").c_str(),
        [](const py::tuple& where, std::int64_t count, Address moved, Address first, Address second, Address bent) {
          Place place(where);
          cuda::mlp_forward(place.device, count, pointer<T>(moved), pointer<const T>(first), pointer<const T>(second),
                            pointer<T>(bent));
        });
  m.def(named("mlp_back").c_str(),
        [](const py::tuple& where, std::int64_t count, Address back, Address first, Address bent) {
          Place place(where);
          cuda::mlp_back(place.device, count, pointer<T>(back), pointer<const T>(first), pointer<const T>(bent));
        });
}

void define(py::module_& m) {
  m.doc() = "CUDA kernels of bidfcl_fast; call them through the backends.";
  py::class_<Problems>(m, "Problems", py::module_local()).def(py::init(&problems_of));
  py::class_<Plans>(m, "Plans", py::module_local()).def(py::init(&plans_of));

  m.def("device_count", &cuda::device_count);
  m.def("describe", &cuda::describe);
  m.def("waits", &cuda::waits);
  m.def("take_memory", [](int device, Address stream, std::int64_t bytes) {
    return reinterpret_cast<Address>(cuda::take_memory(device, pointer<void>(stream), bytes));
  });
  m.def("give_memory", [](int device, Address stream, Address at) {
    cuda::give_memory(device, pointer<void>(stream), pointer<void>(at));
  });
  m.def("to_device", [](int device, Address stream, Address to, Address from, std::int64_t bytes) {
    const py::gil_scoped_release nogil;
    cuda::to_device(device, pointer<void>(stream), pointer<void>(to), pointer<const void>(from), bytes);
  });
  m.def("to_host", [](int device, Address stream, Address to, Address from, std::int64_t bytes) {
    const py::gil_scoped_release nogil;
    cuda::to_host(device, pointer<void>(stream), pointer<void>(to), pointer<const void>(from), bytes);
  });

  m.def("mckp", [](const py::tuple& where, const Problems& problems, bool fill, const Plans& plans) {
    Place place(where);
    const py::gil_scoped_release nogil;
    cuda::mckp(place.device, problems, fill, plans);
  });
  m.def("decide", [](const py::tuple& where, const Problems& problems, Address multiplier, const Plans& plans) {
    Place place(where);
    const py::gil_scoped_release nogil;
    cuda::decide(place.device, problems, pointer<const double>(multiplier), plans);
  });
  m.def("contested",
        [](const py::tuple& where, const Problems& problems, Address plan, double multiplier, double margin,
           double value_unit, double cost_unit, Address users, Address others, Address best, Address totals) {
          Place place(where);
          const ContestedUsers out{pointer<std::int32_t>(users), pointer<std::int32_t>(others),
                                   pointer<std::int32_t>(best), pointer<std::int64_t>(totals)};
          ContestedCount count;
          {
            const py::gil_scoped_release nogil;
            count = cuda::contested(place.device, problems, pointer<const std::int32_t>(plan), multiplier, margin,
                                    value_unit, cost_unit, out);
          }
          return py::make_tuple(count.users, count.others);
        });
  m.def("frontier", [](const py::tuple& where, const Problems& problems) {
    Place place(where);
    cuda::FrontierPoints out;
    {
      const py::gil_scoped_release nogil;
      out = cuda::frontier(place.device, problems);
    }
    return py::make_tuple(out.status, out.count, reinterpret_cast<Address>(out.budget),
                          reinterpret_cast<Address>(out.value), reinterpret_cast<Address>(out.multiplier));
  });

  m.def("shard_magnitudes", [](const py::tuple& where, const Problems& problems) {
    Place place(where);
    ShardMagnitudes found;
    {
      const py::gil_scoped_release nogil;
      found = cuda::shard_magnitudes(place.device, problems);
    }
    return py::make_tuple(found.value, found.cost, found.finite);
  });
  m.def("shard_costs_rounded", [](const py::tuple& where, const Problems& problems, int shift) {
    Place place(where);
    const py::gil_scoped_release nogil;
    return cuda::shard_costs_rounded(place.device, problems, shift);
  });
  m.def("edges_between", [](const py::tuple& where, const Problems& problems, double low, double high, int value_shift,
                            int cost_shift, Address choice) {
    Place place(where);
    cuda::Between found;
    {
      const py::gil_scoped_release nogil;
      found = cuda::edges_between(place.device, problems, {low, high, value_shift, cost_shift},
                                  pointer<std::int32_t>(choice));
    }
    const auto halves = [](int128 n) {
      return py::make_tuple(static_cast<std::int64_t>(n >> 32), static_cast<std::int64_t>(n & 0xffffffff));
    };
    return py::make_tuple(found.status, halves(found.value), halves(found.cost), found.count,
                          reinterpret_cast<Address>(found.edges));
  });

  m.def("decision_loss", [](const py::tuple& where, int order, int storage, const py::tuple& arrays,
                            const py::tuple& sizes, const py::tuple& rule, Address astray) {
    Place place(where);
    const LossCall call = loss_of(storage, arrays, sizes, rule);
    const py::gil_scoped_release nogil;
    cuda::decision_loss(place.device, call, static_cast<LossOrder>(order), pointer<std::uint64_t>(astray));
  });
  m.def("received_intervals", [](const py::tuple& where, int storage, const py::tuple& arrays, const py::tuple& sizes,
                                 const py::tuple& rule, Address low, Address high, Address astray) {
    Place place(where);
    const LossCall call = loss_of(storage, arrays, sizes, rule);
    const py::gil_scoped_release nogil;
    cuda::received_intervals(place.device, call, pointer<double>(low), pointer<double>(high),
                             pointer<std::uint64_t>(astray));
  });

  // (dtype, count, size, x, r, p, inverse, damping, goal, room, rz, curvature, steps, state)
  const auto state_of = [](const py::tuple& t) {
    const auto at = [&](int n) { return t[n].cast<Address>(); };
    CgState s{};
    s.dtype = t[0].cast<int>();
    s.count = t[1].cast<std::int64_t>();
    s.size = t[2].cast<std::int64_t>();
    s.x = pointer<void>(at(3));
    s.r = pointer<void>(at(4));
    s.p = pointer<void>(at(5));
    s.inverse = pointer<const void>(at(6));
    s.damping = t[7].cast<double>();
    s.goal = pointer<const double>(at(8));
    s.room = pointer<const std::int64_t>(at(9));
    s.rz = pointer<double>(at(10));
    s.curvature = pointer<double>(at(11));
    s.steps = pointer<std::int64_t>(at(12));
    s.state = pointer<std::int64_t>(at(13));
    return s;
  };
  m.def("cg_step", [state_of](const py::tuple& where, const py::tuple& state, Address products, bool turns) {
    Place place(where);
    cuda::cg_step(place.device, state_of(state), pointer<void>(products), turns);
  });
  m.def("cg_turn", [state_of](const py::tuple& where, const py::tuple& state, Address z, Address before) {
    Place place(where);
    cuda::cg_turn(place.device, state_of(state), pointer<const void>(z), pointer<const void>(before));
  });
  define_mlp<float>(m, "32");
  define_mlp<double>(m, "64");
}

}  // namespace
}  // namespace bidfcl

#ifdef BIDFCL_EMULATED
PYBIND11_MODULE(_C_cuda_emulated, m) { bidfcl::define(m); }
#else
PYBIND11_MODULE(_C_cuda, m) { bidfcl::define(m); }
#endif
