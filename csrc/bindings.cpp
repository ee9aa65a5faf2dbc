// With arguments.h the only file that includes pybind11, and cuda/bindings.cpp for the GPU. No logic: addresses in,
// addresses out.

#include <memory>
#include <vector>

#include "arguments.h"
#include "capi.h"
#include "outside.h"

namespace py = pybind11;
using bidfcl::Address;
using bidfcl::loss_of;
using bidfcl::plans_of;
using bidfcl::pointer;
using bidfcl::problems_of;

namespace {

// Native code runs outside the interpreter: other threads have its lock meanwhile.
class Outside {
 public:
  Outside() : thread_(PyEval_SaveThread()) {}
  ~Outside() {
    bidfcl::return_or_rest([this] { PyEval_RestoreThread(thread_); });
  }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;

 private:
  PyThreadState* thread_;
  bidfcl::DefaultArithmetic arithmetic_;
};

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "C++ kernels of bidfcl_fast; call them through the backends.";
  py::class_<bidfcl::Problems>(m, "Problems").def(py::init(&problems_of));

  py::class_<bidfcl::Plans>(m, "Plans").def(py::init(&plans_of));

  m.def("mckp", [](const bidfcl::Problems& problems, bool fill, int threads, const bidfcl::Plans& plans) {
    const Outside interpreter;
    bidfcl::mckp(problems, {fill, threads}, plans);
  });

  m.def("decide", [](const bidfcl::Problems& problems, Address multiplier, int threads, const bidfcl::Plans& plans) {
    const Outside interpreter;
    bidfcl::decide(problems, pointer<const double>(multiplier), threads, plans);
  });
  m.def("contested",
        [](const bidfcl::Problems& problems, Address plan, double multiplier, double margin, double value_unit,
           double cost_unit, int threads, Address users, Address others, Address best, Address totals) {
          const bidfcl::ContestedUsers out{pointer<std::int32_t>(users), pointer<std::int32_t>(others),
                                           pointer<std::int32_t>(best), pointer<std::int64_t>(totals)};
          bidfcl::ContestedCount count;
          {
            const Outside interpreter;
            count = bidfcl::contested(problems, pointer<const std::int32_t>(plan), multiplier, margin, value_unit,
                                      cost_unit, threads, out);
          }
          return py::make_tuple(count.users, count.others);
        });

  m.def("solve_core", [](std::int64_t rows, std::int64_t options, Address value, Address cost, Address loss,
                         Address copies, const py::tuple& room, const py::tuple& wider, const py::tuple& numbers,
                         std::int64_t longest, std::int64_t most_named, Address taken) {
    const auto number = [](const py::tuple& t) {
      return bidfcl::CoreNumber{t[0].cast<std::int64_t>(), t[1].cast<std::int64_t>()};
    };
    const bidfcl::CoreOptions core{rows,
                                   options,
                                   pointer<const std::int64_t>(value),
                                   pointer<const std::int64_t>(cost),
                                   pointer<const double>(loss),
                                   pointer<const std::int64_t>(copies)};
    const bidfcl::CoreLimits limits{number(room),
                                    number(wider),
                                    numbers[0].cast<double>(),
                                    numbers[1].cast<double>(),
                                    numbers[2].cast<double>(),
                                    numbers[3].cast<double>(),
                                    longest,
                                    most_named};
    bidfcl::CoreFound out;
    {
      const Outside interpreter;
      out = bidfcl::solve_core(core, limits, pointer<std::int64_t>(taken));
    }
    return py::make_tuple(out.found, out.bounded, out.given_up, py::make_tuple(out.value.high, out.value.low),
                          py::make_tuple(out.bound.high, out.bound.low), out.gap, out.taken);
  });

  m.def("shard_magnitudes", [](const bidfcl::Problems& problems, int threads) {
    bidfcl::ShardMagnitudes found;
    {
      const Outside interpreter;
      found = bidfcl::shard_magnitudes(problems, threads);
    }
    return py::make_tuple(found.value, found.cost, found.finite);
  });
  m.def("shard_costs_rounded", [](const bidfcl::Problems& problems, int cost_shift, int threads) {
    const Outside interpreter;
    return bidfcl::shard_costs_rounded(problems, cost_shift, threads);
  });
  m.def("edges_between_new", [](const bidfcl::Problems& problems, double low, double high, int value_shift,
                                int cost_shift, int threads, Address choice) {
    const Outside interpreter;
    return reinterpret_cast<Address>(bidfcl::edges_between_new(problems, {low, high, value_shift, cost_shift}, threads,
                                                               pointer<std::int32_t>(choice)));
  });
  m.def("edges_between_found", [](Address handle) {
    const bidfcl::EdgesBetween found = bidfcl::edges_between_found(pointer<void>(handle));
    return py::make_tuple(found.status, py::make_tuple(found.value.high, found.value.low),
                          py::make_tuple(found.cost.high, found.cost.low), found.count,
                          reinterpret_cast<Address>(found.edges));
  });
  m.def("edges_between_free", [](Address handle) { bidfcl::edges_between_free(pointer<void>(handle)); });

  m.def("frontier_new", [](const bidfcl::Problems& problems, int threads) {
    const Outside interpreter;
    return reinterpret_cast<Address>(bidfcl::frontier_new(problems, threads));
  });
  m.def("frontier_found", [](Address handle) {
    const bidfcl::FrontierFound found = bidfcl::frontier_found(pointer<void>(handle));
    return py::make_tuple(found.status, found.count);
  });
  m.def("frontier_write", [](Address handle, int threads, Address budget, Address value, Address multiplier) {
    const Outside interpreter;
    bidfcl::frontier_write(pointer<void>(handle), threads,
                           {pointer<double>(budget), pointer<double>(value), pointer<double>(multiplier)});
  });
  m.def("frontier_free", [](Address handle) { bidfcl::frontier_free(pointer<void>(handle)); });

  m.def("mlp_new", [](int dtype, const py::list& layers, bool exact) {
    std::vector<bidfcl::MlpLayerShape> shapes;
    for (const py::handle& given : layers) {
      const py::tuple t = py::cast<py::tuple>(given);
      shapes.push_back({t[0].cast<int>(), t[1].cast<int>(), t[2].cast<int>(), t[3].cast<int>(), t[4].cast<double>()});
    }
    return reinterpret_cast<Address>(bidfcl::mlp_new({dtype, static_cast<int>(shapes.size()), shapes.data(), exact}));
  });
  m.def("mlp_linearise", [](Address handle, std::int64_t rows, Address inputs, std::int64_t input_stride,
                            Address parameters, Address targets, Address weight, double scale, int threads) {
    const bidfcl::MlpInput input{rows,
                                 pointer<const void>(inputs),
                                 input_stride,
                                 pointer<const void>(parameters),
                                 pointer<const void>(targets),
                                 pointer<const void>(weight),
                                 scale};
    const Outside interpreter;
    bidfcl::mlp_linearise(pointer<void>(handle), input, threads);
  });
  m.def("mlp_product", [](Address handle, Address v, Address out, std::int64_t count, int threads) {
    const Outside interpreter;
    bidfcl::mlp_product(pointer<void>(handle), pointer<const void>(v), pointer<void>(out), count, threads);
  });
  m.def("mlp_outputs", [](Address handle, Address out) {
    const Outside interpreter;
    bidfcl::mlp_outputs(pointer<void>(handle), pointer<void>(out));
  });
  m.def("mlp_push", [](Address handle, Address v, Address out, int threads) {
    const Outside interpreter;
    bidfcl::mlp_push(pointer<void>(handle), pointer<const void>(v), pointer<void>(out), threads);
  });
  m.def("mlp_gradient", [](Address handle, Address out, int threads) {
    const Outside interpreter;
    bidfcl::mlp_gradient(pointer<void>(handle), pointer<void>(out), threads);
  });
  m.def("mlp_diagonal", [](Address handle, Address out, int threads) {
    const Outside interpreter;
    bidfcl::mlp_diagonal(pointer<void>(handle), pointer<void>(out), threads);
  });
  m.def("mlp_free", [](Address handle) { bidfcl::mlp_free(pointer<void>(handle)); });

  py::class_<bidfcl::CgState>(m, "CgState")
      .def(py::init([](int dtype, std::int64_t count, std::int64_t size, Address x, Address r, Address p,
                       Address inverse, Address along, Address stretch, std::int64_t rank, Address turned,
                       double damping, Address goal, Address room, Address rz, Address curvature, Address steps,
                       Address state) {
        return bidfcl::CgState{dtype,
                               count,
                               size,
                               pointer<void>(x),
                               pointer<void>(r),
                               pointer<void>(p),
                               pointer<const void>(inverse),
                               pointer<const void>(along),
                               pointer<const void>(stretch),
                               rank,
                               pointer<void>(turned),
                               damping,
                               pointer<const double>(goal),
                               pointer<const std::int64_t>(room),
                               pointer<double>(rz),
                               pointer<double>(curvature),
                               pointer<std::int64_t>(steps),
                               pointer<std::int64_t>(state)};
      }));
  m.def("cg_step", [](const bidfcl::CgState& state, Address products, bool turn, int threads) {
    return bidfcl::cg_step(state, pointer<void>(products), turn, threads);
  });
  m.def("cg_turn", [](const bidfcl::CgState& state, Address preconditioned, Address before) {
    bidfcl::cg_turn(state, pointer<const void>(preconditioned), pointer<const void>(before));
  });

  m.def("arch_name", &bidfcl::arch_name);
  m.def("set_users_at_a_time", &bidfcl::set_users_at_a_time);
  m.def("compiler_name", &bidfcl::compiler_name);

  m.def("decision_loss", [](int order, int storage, int threads, const py::tuple& arrays, const py::tuple& sizes,
                            const py::tuple& rule) {
    bidfcl::LossCall call = loss_of(storage, arrays, sizes, rule);
    call.threads = threads;
    const Outside interpreter;
    return bidfcl::decision_loss(call, static_cast<bidfcl::LossOrder>(order));
  });
  m.def("received_intervals", [](int storage, int threads, const py::tuple& arrays, const py::tuple& sizes,
                                 const py::tuple& rule, Address low, Address high) {
    bidfcl::LossCall call = loss_of(storage, arrays, sizes, rule);
    call.threads = threads;
    const Outside interpreter;
    return bidfcl::received_intervals(call, pointer<double>(low), pointer<double>(high));
  });
}
