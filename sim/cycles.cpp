// Cycle model of a folded accelerator, as a library for sim/cycles.py, which loads it with ctypes (so that building it needs no
// Python headers) and repeats the declarations below. sim/pipeline.py validates all parameters and wires; nothing is checked
// again here. No exception leaves this file: what can fail says so in what it returns.

#include <algorithm>
#include <cstdint>

#include "cycle_engine.h"
#include "cycle_frames.h"

using flipflow::Frames;
using flipflow::Pipeline;

#define FLIPFLOW_API extern "C" __attribute__((visibility("default")))

namespace {

// Both engines for the same kernels.
struct Model {
  Pipeline stepped;
  Frames solved;
};

}  // namespace

// A new pipeline without kernels, null if the memory is used up. The caller gives it back to flipflow_cycles_free.
FLIPFLOW_API void* flipflow_cycles_new() {
  try {
    return new Model;
  } catch (...) {
    return nullptr;
  }
}

FLIPFLOW_API void flipflow_cycles_free(void* handle) { delete static_cast<Model*>(handle); }

// Adds a kernel; model: see make_kernel in cycle_kernels.h. Returns 1, 0 for an unknown model, -1 without memory.
FLIPFLOW_API int32_t flipflow_cycles_add(void* handle, int32_t model, const int64_t* parameters) {
  try {
    auto* both = static_cast<Model*>(handle);
    if (!both->stepped.add(model, parameters)) return 0;
    both->solved.add(model, parameters);
    return 1;
  } catch (...) {
    return -1;
  }
}

// Connects output `port` of kernel number `source` with input `slot` of kernel number `sink`. Returns 1, -1 without memory.
FLIPFLOW_API int32_t flipflow_cycles_wire(void* handle, int64_t source, int64_t port, int64_t sink, int64_t slot) {
  try {
    auto* both = static_cast<Model*>(handle);
    both->stepped.wire(source, port, sink, slot);
    both->solved.wire(source, port, sink, slot);
    return 1;
  } catch (...) {
    return -1;
  }
}

// Solves the pipeline for about `events` words on wires; the other arguments: see flipflow::Task. counts[4]: frames that have left,
// cycle of the first beat taken, cycles and frames of the period found (0: none). Returns 1 when all frames have left or repeat
// themselves, 0 when nothing can move any more, 2 when it is to be called again, 3 when a frame is late, -1 when the memory is
// used up.
FLIPFLOW_API int32_t flipflow_cycles_solve(void* handle, int64_t frames, int64_t in_beats, int64_t interval, int64_t latency,
                                           int32_t until_repeat, int64_t events, int64_t* counts) {
  try {
    auto& solved = static_cast<Model*>(handle)->solved;
    const int32_t state = solved.solve({frames, in_beats, interval, latency, until_repeat != 0}, events);
    counts[0] = static_cast<int64_t>(solved.completion.size());
    counts[1] = solved.first_accept();
    counts[2] = solved.period_cycles;
    counts[3] = solved.period_frames;
    return state;
  } catch (...) {
    return -1;
  }
}

// What has been solved. completion[frames that have left]: the cycle in which each frame's last beat was taken.
// high_water[number of FIFOs], in the order of the kernels: the most words held.
FLIPFLOW_API void flipflow_cycles_solution(void* handle, int64_t* completion, int64_t* high_water) {
  auto& solved = static_cast<Model*>(handle)->solved;
  std::copy(solved.completion.begin(), solved.completion.end(), completion);
  for (flipflow::Channel* fifo : solved.fifos()) *high_water++ = fifo->high_water();
}

// Steps on for about `slice` cycles; the other arguments: see flipflow::Run. Returns 1 when all frames have left, 0 when nothing
// can move any more, 2 when it is to be called again, -1 when the memory is used up.
FLIPFLOW_API int32_t flipflow_cycles_run(void* handle, int64_t frames, int64_t in_beats, int64_t out_beats, int64_t interval,
                                         int64_t patience, double stall, uint64_t seed, int32_t every, int64_t slice) {
  try {
    const flipflow::Run run{frames, in_beats, out_beats, interval, patience, stall, seed, every != 0};
    return static_cast<Model*>(handle)->stepped.run(run, slice);
  } catch (...) {
    return -1;
  }
}

// Of the stepped pipeline. counts[7]: cycle, cycle of the first beat taken (-1: none yet), beats taken, beats given, frames that
// have left, cycles since something moved, steps of kernels.
FLIPFLOW_API void flipflow_cycles_counts(const void* handle, int64_t* counts) {
  const Pipeline* pipeline = &static_cast<const Model*>(handle)->stepped;
  counts[0] = pipeline->cycle;
  counts[1] = pipeline->first_accept;
  counts[2] = pipeline->accepted;
  counts[3] = pipeline->produced;
  counts[4] = static_cast<int64_t>(pipeline->completion.size());
  counts[5] = pipeline->idle();
  counts[6] = pipeline->steps;
}

// completion[frames that have left]: the cycle in which each frame's last beat was taken.
FLIPFLOW_API void flipflow_cycles_completion(const void* handle, int64_t* completion) {
  const auto& cycles = static_cast<const Model*>(handle)->stepped.completion;
  std::copy(cycles.begin(), cycles.end(), completion);
}

// fifos[number of FIFOs][3], in the order of the kernels: the most words held so far, 1 if full, 1 if empty.
FLIPFLOW_API void flipflow_cycles_fifos(const void* handle, int64_t* fifos) {
  for (const flipflow::Fifo* fifo : static_cast<const Model*>(handle)->stepped.fifos()) {
    *fifos++ = fifo->high_water();
    *fifos++ = fifo->full() ? 1 : 0;
    *fifos++ = fifo->empty() ? 1 : 0;
  }
}

// activity[number of kernels][3]: cycles so far in which each kernel worked, was refused its word, or waited.
FLIPFLOW_API void flipflow_cycles_activity(void* handle, int64_t* activity) {
  Pipeline* pipeline = &static_cast<Model*>(handle)->stepped;
  pipeline->settle();
  for (size_t i = 0; i < pipeline->size(); ++i) activity = std::copy_n(pipeline->activity(i).begin(), 3, activity);
}
