// Cycle model of a folded accelerator: the registers that decide WHEN a word moves, and none of its data.
//
// A pipeline is a directed acyclic graph of kernels. In one cycle every kernel sees the valids of its producers (registered, so
// known at the start of the cycle) and the readies of its consumers (combinational, so known once the consumers were asked).
// Walking in reverse topological order therefore settles and clocks the whole graph in one pass: a kernel is stepped only
// after its consumers gave their ready, and its producers still hold this cycle's valid.
//
// sim/pipeline.py validates all parameters and wires; nothing is checked again here. sim/cycles.py loads this library with
// ctypes (so that building it needs no Python headers) and repeats the declarations at the end of this file.

#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "cycle_kernels.h"
#include "harness/stall.h"

namespace {

using flipflow::Flow;
using flipflow::Kernel;
using flipflow::Ports;

class Pipeline {
 public:
  // Takes the next kernel in topological order; p: its parameters. Throws only std::bad_alloc.
  bool add(int32_t model, const int64_t* p) {
    auto kernel = flipflow::make_kernel(model, p);
    if (kernel == nullptr) return false;
    if (const auto* fifo = dynamic_cast<const flipflow::Fifo*>(kernel.get())) fifos_.push_back(fifo);
    // Until it is wired, a kernel hangs on the two ends of the pipeline.
    nodes_.push_back({kernel.get(), {&source_valid_, 0}, {&sink_ready_, 0}, {}, {}});
    kernels_.push_back(std::move(kernel));
    return true;
  }

  // Words go from output `port` of kernel `source` to input `slot` of kernel `sink`; outputs and inputs of a kernel are wired in
  // rising order. Throws only std::bad_alloc.
  void wire(int64_t source, int64_t port, int64_t sink, int64_t slot) {
    Node &from = nodes_[source], &to = nodes_[sink];
    connect(from.output, from.outputs, port, {&to.kernel->in_ready, static_cast<int>(slot)});
    connect(to.input, to.inputs, slot, {&from.kernel->out_valid, static_cast<int>(port)});
  }

  // Runs on until `frames` frames have left, nothing has moved for `patience` cycles, or `slice` cycles are over.
  int32_t run(int64_t frames, int64_t in_beats, int64_t out_beats, double stall, uint64_t seed, int64_t patience,
              int64_t slice) {
    const flipflow::Stall source_stall(stall, seed, flipflow::kSourceStream);
    const flipflow::Stall sink_stall(stall, seed, flipflow::kSinkStream);
    const int64_t end = cycle + slice;
    for (; idle_ < patience; ++cycle) {
      if (cycle == end) return kMore;
      offered_ = accepted < frames * in_beats && (offered_ || !source_stall(cycle));
      source_valid_ = offered_;
      sink_ready_ = !sink_stall(cycle);
      bool moved = false;
      const bool delivered = kernels_.back()->out_valid != 0 && sink_ready_ != 0;
      for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
        const Flow flow = node->kernel->step(read(node->input, node->inputs), read(node->output, node->outputs));
        node->kernel->in_ready = flow.ready;
        moved |= flow.moved;
      }
      if (offered_ && kernels_.front()->in_ready != 0) {
        if (accepted++ == 0) first_accept = cycle;
        offered_ = false;
      }
      if (delivered && ++produced % out_beats == 0) {
        completion.push_back(cycle);
        if (static_cast<int64_t>(completion.size()) == frames) return kDone;
      }
      idle_ = moved || delivered ? 0 : idle_ + 1;
    }
    return kStopped;
  }

  const std::vector<const flipflow::Fifo*>& fifos() const { return fifos_; }

  static constexpr int32_t kStopped = 0, kDone = 1, kMore = 2;
  int64_t cycle = 0, first_accept = -1, accepted = 0, produced = 0;
  std::vector<int64_t> completion;

 private:
  // A bit of what the kernel at the far end of a wire last said.
  struct End {
    const Ports* ports;
    int shift;
    Ports read() const { return (*ports >> shift) & 1; }
  };
  struct Node {
    Kernel* kernel;
    End input, output;               // the first ones
    std::vector<End> inputs, outputs;  // all of them, where there are several
  };

  static Ports read(const End& only, const std::vector<End>& all) {
    if (all.empty()) return only.read();
    Ports bits = 0;
    for (size_t i = 0; i < all.size(); ++i) bits |= all[i].read() << i;
    return bits;
  }
  static void connect(End& first, std::vector<End>& all, int64_t index, End far) {
    if (index == 0) first = far;
    if (index == 1) all = {first};
    if (index >= 1) all.push_back(far);
  }

  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<Node> nodes_;
  std::vector<const flipflow::Fifo*> fifos_;  // in the order of the kernels
  Ports source_valid_ = 0, sink_ready_ = 0;
  bool offered_ = false;  // the source holds a beat out until it is taken
  int64_t idle_ = 0;      // cycles since something moved
};

}  // namespace

// The interface of sim/cycles.py. No exception leaves it: what can fail says so in what it returns.
#define FLIPFLOW_API extern "C" __attribute__((visibility("default")))

// A new pipeline without kernels, null if the memory is used up. The caller gives it back to flipflow_cycles_free.
FLIPFLOW_API void* flipflow_cycles_new() { return new (std::nothrow) Pipeline; }

FLIPFLOW_API void flipflow_cycles_free(void* handle) { delete static_cast<Pipeline*>(handle); }

// Adds a kernel; model: 0 fifo, 1 gearbox, 2 steps, 3 window, 4 mvtu, 5 fork, 6 join, 7 pad. Returns 1, 0 for an unknown model, -1 without memory.
FLIPFLOW_API int32_t flipflow_cycles_add(void* handle, int32_t model, const int64_t* parameters) {
  try {
    return static_cast<Pipeline*>(handle)->add(model, parameters) ? 1 : 0;
  } catch (...) {
    return -1;
  }
}

// Connects output `port` of kernel number `source` with input `slot` of kernel number `sink`. Returns 1, -1 without memory.
FLIPFLOW_API int32_t flipflow_cycles_wire(void* handle, int64_t source, int64_t port, int64_t sink, int64_t slot) {
  try {
    static_cast<Pipeline*>(handle)->wire(source, port, sink, slot);
    return 1;
  } catch (...) {
    return -1;
  }
}

// Runs on for at most `slice` cycles. Returns 1 when all frames have left, 0 when nothing has moved for `patience`
// cycles, 2 when it is to be called again, -1 when the memory is used up.
FLIPFLOW_API int32_t flipflow_cycles_run(void* handle, int64_t frames, int64_t in_beats, int64_t out_beats, double stall,
                                         uint64_t seed, int64_t patience, int64_t slice) {
  try {
    return static_cast<Pipeline*>(handle)->run(frames, in_beats, out_beats, stall, seed, patience, slice);
  } catch (...) {
    return -1;
  }
}

// counts[5]: cycle, cycle of the first beat taken (-1: none yet), beats taken, beats given, frames that have left.
FLIPFLOW_API void flipflow_cycles_counts(const void* handle, int64_t* counts) {
  const auto* pipeline = static_cast<const Pipeline*>(handle);
  counts[0] = pipeline->cycle;
  counts[1] = pipeline->first_accept;
  counts[2] = pipeline->accepted;
  counts[3] = pipeline->produced;
  counts[4] = static_cast<int64_t>(pipeline->completion.size());
}

// completion[frames that have left]: the cycle in which each frame's last beat was taken.
FLIPFLOW_API void flipflow_cycles_completion(const void* handle, int64_t* completion) {
  const auto& cycles = static_cast<const Pipeline*>(handle)->completion;
  std::copy(cycles.begin(), cycles.end(), completion);
}

// fifos[number of FIFOs][3], in the order of the kernels: the most words held so far, 1 if full, 1 if empty.
FLIPFLOW_API void flipflow_cycles_fifos(const void* handle, int64_t* fifos) {
  for (const flipflow::Fifo* fifo : static_cast<const Pipeline*>(handle)->fifos()) {
    *fifos++ = fifo->high_water();
    *fifos++ = fifo->full() ? 1 : 0;
    *fifos++ = fifo->empty() ? 1 : 0;
  }
}
