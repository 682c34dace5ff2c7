// The C interface: handles around Plan and Engine; no exception leaves it.
#include <cstring>
#include <new>
#include <system_error>

#include "clock.h"
#include "dispatch.h"
#include "engine.h"
#include "flipflow_cpu.h"
#include "status.h"

struct flipflow_plan {
  std::shared_ptr<const flipflow::Plan> plan;
};

struct flipflow_engine {
  flipflow_engine(std::shared_ptr<const flipflow::Plan> plan, const char* isa, int threads)
      : engine(std::move(plan), isa, threads), description(engine.describe()), operators(engine.operators()) {}
  flipflow::Engine engine;
  std::string description;
  std::vector<flipflow::OperatorInfo> operators;
};

namespace {

thread_local char last_error[512] = "";

flipflow_status report(flipflow_status status, const char* message) {
  std::strncpy(last_error, message, sizeof last_error - 1);
  return status;
}

// Runs body and turns what it throws into a status and the thread's message.
template <typename Body>
flipflow_status guarded(const Body& body) {
  try {
    body();
    return FLIPFLOW_OK;
  } catch (const flipflow::Error& error) {
    return report(static_cast<flipflow_status>(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return report(FLIPFLOW_MEMORY, "not enough memory");
  } catch (const std::exception& error) {
    return report(FLIPFLOW_SYSTEM, error.what());
  }
}

void want(bool holds, const char* what) {
  if (!holds) throw flipflow::Error(flipflow::Code::argument, what);
}

}  // namespace

const char* flipflow_error(void) { return last_error; }

flipflow_status flipflow_plan_open(const char* path, flipflow_plan** plan) {
  return guarded([&] {
    want(path != nullptr && plan != nullptr, "path or plan is null");
    *plan = nullptr;
    *plan = new flipflow_plan{flipflow::Plan::open(path)};
  });
}

flipflow_status flipflow_plan_from_memory(const void* data, size_t bytes, flipflow_plan** plan) {
  return guarded([&] {
    want((data != nullptr || bytes == 0) && plan != nullptr, "data or plan is null");
    *plan = nullptr;
    *plan = new flipflow_plan{flipflow::Plan::from_memory(data, bytes)};
  });
}

void flipflow_plan_get_info(const flipflow_plan* handle, flipflow_plan_info* info) {
  const flipflow::Plan& plan = *handle->plan;
  const flipflow::PlanTensor& input = plan.input();
  *info = {input.height,           input.width,
           input.channels,         static_cast<flipflow_number>(input.number),
           input.minimum,          input.maximum,
           plan.header().classes,  plan.ops(),
           plan.header().logit_scale, flipflow::tensor_bytes(input),
           plan.bytes()};
}

void flipflow_plan_close(flipflow_plan* plan) { delete plan; }

flipflow_status flipflow_engine_create(const flipflow_plan* plan, const char* isa, int threads, flipflow_engine** engine) {
  return guarded([&] {
    want(plan != nullptr && isa != nullptr && engine != nullptr, "plan, isa or engine is null");
    *engine = nullptr;
    *engine = new flipflow_engine(plan->plan, isa, threads);
  });
}

void flipflow_engine_destroy(flipflow_engine* engine) { delete engine; }

flipflow_status flipflow_engine_run(flipflow_engine* engine, const void* images, size_t count, int32_t* logits) {
  return guarded([&] {
    want(engine != nullptr && (count == 0 || (images != nullptr && logits != nullptr)), "engine, images or logits is null");
    engine->engine.run(images, count, logits);
  });
}

flipflow_status flipflow_engine_profile(flipflow_engine* engine, const void* images, size_t count, int32_t* logits, int64_t* nanoseconds) {
  return guarded([&] {
    want(engine != nullptr && (count == 0 || (images != nullptr && logits != nullptr)), "engine, images or logits is null");
    engine->engine.profile(images, count, logits, nanoseconds);
  });
}

const char* flipflow_engine_describe(const flipflow_engine* engine) { return engine->description.c_str(); }
const char* flipflow_engine_isa(const flipflow_engine* engine) { return engine->engine.isa(); }

flipflow_status flipflow_engine_operator(const flipflow_engine* engine, int32_t index, flipflow_operator* op) {
  return guarded([&] {
    want(engine != nullptr && op != nullptr && index >= 0 && index < engine->engine.plan().ops(), "there is no such operator");
    const flipflow::OperatorInfo& info = engine->operators[index];
    *op = {info.name.c_str(), info.kind, info.kernel, info.output.c_str(), info.macs, info.fallback, info.repacked};
  });
}

const char* flipflow_isa(size_t index) {
  const auto& kernels = flipflow::compiled_kernels();
  return index < kernels.size() ? kernels[index]->isa : nullptr;
}

int flipflow_isa_supported(const char* isa) {
  for (const flipflow::Kernels* kernels : flipflow::compiled_kernels()) {
    if (std::strcmp(kernels->isa, isa) == 0) return kernels->supported() ? 1 : 0;
  }
  return 0;
}

flipflow_status flipflow_limit(const char* isa, int64_t rounds, double* macs) {
  return guarded([&] {
    want(isa != nullptr && macs != nullptr, "isa or macs is null");
    *macs = flipflow::kernels_named(isa).limit(rounds);
  });
}

double flipflow_clock_ghz(void) { return flipflow::clock_ghz(); }
