// The Python module flipflow.cpu._core. Arrays go in and out without copies of their own; the GIL is free while an engine runs.
// Every error of the engine is raised as PlanError, with the message alone; wrong types and sizes of arguments as TypeError and
// ValueError. The package flipflow.cpu wraps this module; it is not meant to be used directly.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>

#include "clock.h"
#include "dispatch.h"
#include "engine.h"
#include "layouts.h"
#include "status.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace flipflow {
namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Images = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<nb::numpy, int32_t, nb::ndim<2>>;
using ShapeTuple = std::array<int32_t, 15>;  // the fields of Shape in their order

Shape shape_of(const ShapeTuple& t) {
  for (size_t i = 0; i < 7; ++i) {
    if (t[i] < 1) throw nb::value_error("sizes, kernels and strides of a shape are at least 1");
  }
  if (t[7] < 0 || t[8] < 0 || t[9] < 1 || t[10] < 1 || t[11] < 1) throw nb::value_error("padding or output of a shape is out of range");
  if (t[12] < 0 || t[12] > 1 || t[13] < 0 || t[13] > 3 || (t[14] != 0 && t[14] != 2 && t[14] != 3) || (t[13] == 0) != (t[14] == 0)) {
    throw nb::value_error("a shape's border is 0 or 1, its input bits, u8, i8 or i16, its weights bits, i8 or i16, bits only with bits");
  }
  if (int64_t{t[3]} * t[4] > 65536 || double{1.0} * t[3] * t[4] * (t[2] + 63) * t[11] > 2147483648.0) {
    throw nb::value_error("a shape has too many weights");
  }
  return Shape{t[0], t[1], t[2],  t[3],  t[4],  t[5],  t[6],  t[7],
               t[8], t[9], t[10], t[11], static_cast<Border>(t[12]), static_cast<Number>(t[13]), static_cast<Number>(t[14])};
}

const LayoutCodec& codec_for(uint32_t layout, const Shape& shape) {
  const LayoutCodec* codec = codec_of(static_cast<Layout>(layout));
  if (codec == nullptr || !layout_fits(static_cast<Layout>(layout), shape)) throw nb::value_error("this layout does not hold these weights");
  return *codec;
}

// Converts `from` by one of a codec's functions; sizes in bytes of both sides are known.
using Convert = void (*)(const Shape&, const void*, void*);
nb::bytes convert(Convert function, const Shape& shape, const Bytes& from, size_t from_bytes, size_t to_bytes) {
  if (from.size() != from_bytes) {
    const std::string text = "the weights have " + std::to_string(from.size()) + " bytes, not " + std::to_string(from_bytes);
    throw nb::value_error(text.c_str());
  }
  Store store;  // for the alignment that codecs may want
  void* const source = store.take(from_bytes);
  void* const target = store.take(to_bytes);
  std::memcpy(source, from.data(), from_bytes);
  function(shape, source, target);
  return nb::bytes(static_cast<const char*>(target), to_bytes);
}

nb::bytes pack(uint32_t layout, const ShapeTuple& tuple, const Bytes& rows) {
  const Shape shape = shape_of(tuple);
  const LayoutCodec& codec = codec_for(layout, shape);
  return convert(codec.pack, shape, rows, rows_codec.bytes(shape), codec.bytes(shape));
}

nb::bytes unpack(uint32_t layout, const ShapeTuple& tuple, const Bytes& packed) {
  const Shape shape = shape_of(tuple);
  const LayoutCodec& codec = codec_for(layout, shape);
  return convert(codec.unpack, shape, packed, codec.bytes(shape), rows_codec.bytes(shape));
}

// Number of images in an array for this plan; raises TypeError or ValueError where it does not fit.
size_t image_count(const Plan& plan, const Images& images) {
  const PlanTensor& input = plan.input();
  const nb::dlpack::dtype wanted = input.number == Number::u8   ? nb::dtype<uint8_t>()
                                   : input.number == Number::i8 ? nb::dtype<int8_t>()
                                                                : nb::dtype<int16_t>();
  if (images.dtype() != wanted) {
    const std::string text = std::string("the plan's input has the number type ") + number_name(input.number);
    throw nb::type_error(text.c_str());
  }
  const size_t sizes[3] = {static_cast<size_t>(input.height), static_cast<size_t>(input.width), static_cast<size_t>(input.channels)};
  const bool fits = images.ndim() == 4 && images.shape(1) == sizes[0] && images.shape(2) == sizes[1] && images.shape(3) == sizes[2];
  if (!fits) {
    const std::string text = "the plan takes images [N, " + std::to_string(sizes[0]) + ", " + std::to_string(sizes[1]) + ", " +
                             std::to_string(sizes[2]) + "]";
    throw nb::value_error(text.c_str());
  }
  return images.shape(0);
}

Logits run(Engine& engine, const Images& images) {
  const size_t count = image_count(engine.plan(), images), classes = engine.plan().header().classes;
  auto* logits = new int32_t[count * classes];
  nb::capsule owner(logits, [](void* p) noexcept { delete[] static_cast<int32_t*>(p); });
  {
    nb::gil_scoped_release free;
    engine.run(images.data(), count, logits);
  }
  return Logits(logits, {count, classes}, owner);
}

// Median nanoseconds of each operator over all images and rounds.
std::vector<int64_t> profile(Engine& engine, const Images& images, int rounds) {
  const size_t count = image_count(engine.plan(), images), classes = engine.plan().header().classes, ops = engine.plan().ops();
  if (count == 0 || rounds < 1) throw nb::value_error("profile needs an image and a round");
  std::vector<int32_t> logits(count * classes);
  std::vector<int64_t> times(count * rounds * ops), medians;
  {
    nb::gil_scoped_release free;
    for (int round = 0; round < rounds; ++round) engine.profile(images.data(), count, logits.data(), times.data() + round * count * ops);
  }
  std::vector<int64_t> of_op(count * rounds);
  for (size_t op = 0; op < ops; ++op) {
    for (size_t i = 0; i < of_op.size(); ++i) of_op[i] = times[i * ops + op];
    std::nth_element(of_op.begin(), of_op.begin() + of_op.size() / 2, of_op.end());
    medians.push_back(of_op[of_op.size() / 2]);
  }
  return medians;
}

std::shared_ptr<const Plan> plan_of_bytes(nb::bytes data) {
  Store store;
  void* const copy = store.take(data.size());
  if (copy != nullptr) std::memcpy(copy, data.c_str(), data.size());
  return Plan::from_owned(std::move(store), copy, data.size());
}

std::vector<std::string> names_of(bool supported_only) {
  std::vector<std::string> names;
  for (const Kernels* kernels : compiled_kernels()) {
    if (!supported_only || kernels->supported()) names.emplace_back(kernels->isa);
  }
  return names;
}

void bind_plan(nb::module_& m) {
  nb::class_<Plan>(m, "Plan", "A checked plan. Raises PlanError where the file or the bytes are not a sound plan.")
      .def_static("open", &Plan::open, "path"_a, nb::call_guard<nb::gil_scoped_release>(), "Map a plan file, which must not change meanwhile.")
      .def_static("from_bytes", &plan_of_bytes, "data"_a, "A plan from a copy of these bytes.")
      .def_prop_ro("input_shape", [](const Plan& p) { return nb::make_tuple(p.input().height, p.input().width, p.input().channels); })
      .def_prop_ro("input_number", [](const Plan& p) { return number_name(p.input().number); })
      .def_prop_ro("input_range", [](const Plan& p) { return nb::make_tuple(p.input().minimum, p.input().maximum); })
      .def_prop_ro("classes", [](const Plan& p) { return p.header().classes; })
      .def_prop_ro("logit_scale", [](const Plan& p) { return p.header().logit_scale; })
      .def_prop_ro("network", [](const Plan& p) { return nb::bytes(reinterpret_cast<const char*>(p.header().network), 32); })
      .def_prop_ro("file_bytes", &Plan::bytes)
      .def_prop_ro("arena_bytes", &Plan::arena_bytes)
      .def_prop_ro("op_names", [](const Plan& p) {
        std::vector<std::string> names;
        for (int32_t i = 0; i < p.ops(); ++i) names.push_back(p.name(p.op(i)));
        return names;
      });
}

void bind_engine(nb::module_& m) {
  nb::class_<Engine>(m, "Engine", "Runs a plan; safe to share between Python threads, which take turns.")
      .def(nb::init<std::shared_ptr<const Plan>, const std::string&, int>(), "plan"_a, "isa"_a = "auto", "threads"_a = 1)
      .def("run", &run, "images"_a, "Logits int32 [N, classes] of images [N, H, W, C] in the plan's number type, C-contiguous.")
      .def("profile", &profile, "images"_a, "rounds"_a = 1, "Median nanoseconds of each operator over images and rounds.")
      .def("describe", &Engine::describe, "JSON: isa, threads, memory, operators with kernels and fallbacks.")
      .def_prop_ro("isa", &Engine::isa)
      .def_prop_ro("threads", &Engine::threads);
}

double limit(const std::string& isa, int64_t rounds) {
  const Kernels& kernels = kernels_named(isa);
  const nb::gil_scoped_release free;
  return kernels.limit(rounds);
}

}  // namespace
}  // namespace flipflow

NB_MODULE(_core, m) {
  using namespace flipflow;
  m.doc() = "The engine of flipflow.cpu.";
  nb::exception<Error>(m, "PlanError", PyExc_RuntimeError);
  m.def("isas", [] { return names_of(false); }, "Instruction sets compiled in, fastest first.");
  m.def("supported_isas", [] { return names_of(true); }, "Those of them that this processor supports.");
  m.def("supported", [](const std::string& isa) {
    const std::vector<std::string> names = names_of(true);
    return std::find(names.begin(), names.end(), isa) != names.end();
  }, "isa"_a);
  m.def("best_isa", [] { return best_kernels().isa; });
  m.def("layout_for", [](const std::string& isa, const ShapeTuple& shape) { return static_cast<uint32_t>(layout_for(isa, shape_of(shape))); },
        "isa"_a, "shape"_a, "Number of the layout that the set's kernels read; foreign sets too. shape: the fields of Shape in order.");
  m.def("layout_name", [](uint32_t layout) { return layout_name(static_cast<Layout>(layout)); }, "layout"_a);
  m.def("packed_bytes", [](uint32_t layout, const ShapeTuple& tuple) {
    const Shape shape = shape_of(tuple);
    return codec_for(layout, shape).bytes(shape);
  }, "layout"_a, "shape"_a);
  m.def("pack", &pack, "layout"_a, "shape"_a, "rows"_a, "Weights in layout rows (uint8 array of their bytes) to another layout.");
  m.def("unpack", &unpack, "layout"_a, "shape"_a, "packed"_a, "The inverse of pack.");
  m.def("clock_ghz", &clock_ghz, "GHz of this core now, by a chain of dependent additions; some milliseconds.");
  m.def("limit", &limit, "isa"_a, "rounds"_a, "Binary MAC of `rounds` rounds of the set's inner loop on registers alone.");
  bind_plan(m);
  bind_engine(m);
}
