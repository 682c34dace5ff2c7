// The engine of the cycle model: steps a directed acyclic graph of kernels, but only those of which something can be seen.
//
// In one cycle every kernel sees the valids of its producers (registered, so known at the start of the cycle) and the readies
// of its consumers (combinational, so known once the consumers were asked). Walking in reverse topological order therefore
// settles and clocks the whole graph in one pass.
//
// A kernel sleeps while its state stands still (until an input of its changes) or while it is in a span (see cycle_kernel.h;
// until that ends). Waking a kernel too early does no harm: a step is a step. Cycles in which all sleep are skipped.
// (Where nothing is random and only the frames' ends are wanted, cycle_frames.h is quicker by far.)

#ifndef FLIPFLOW_SIM_CYCLE_ENGINE_H_
#define FLIPFLOW_SIM_CYCLE_ENGINE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cycle_kernels.h"
#include "cycle_wheel.h"
#include "harness/stall.h"

namespace flipflow {

// What a run is told. interval: a frame's beats are not offered before frame * interval. patience: with random stalls, cycles
// without any movement after which the pipeline counts as stuck. every: all kernels are stepped in every cycle, as a check.
struct Run {
  int64_t frames, in_beats, out_beats, interval, patience;
  double stall;
  uint64_t seed;
  bool every;
};

class Pipeline {
 public:
  // What a kernel did in a cycle: worked, was refused its word, or waited.
  enum Activity { kBusy, kStalled, kWaiting };

  // Takes the next kernel in topological order; p: its parameters. Throws only std::bad_alloc.
  bool add(int32_t model, const int64_t* p) {
    auto kernel = make_kernel(model, p);
    if (kernel == nullptr) return false;
    if (const auto* fifo = dynamic_cast<const Fifo*>(kernel.get())) fifos_.push_back(fifo);
    // Until it is wired, a kernel hangs on the two ends of the pipeline.
    nodes_.emplace_back();
    nodes_.back().kernel = kernel.get();
    nodes_.back().input = {&source_valid_, 0};
    nodes_.back().output = {&sink_ready_, 0};
    kernels_.push_back(std::move(kernel));
    return true;
  }

  // Words go from output `port` of kernel `source` to input `slot` of kernel `sink`. Throws only std::bad_alloc.
  void wire(int64_t source, int64_t port, int64_t sink, int64_t slot) {
    Node &from = nodes_[source], &to = nodes_[sink];
    connect(from.output, from.outputs, port, {&to.kernel->in_ready, static_cast<int>(slot)});
    connect(to.input, to.inputs, slot, {&from.kernel->out_valid, static_cast<int>(port)});
    from.several |= port > 0;
    to.several |= slot > 0;
    from.consumer == kNone ? void(from.consumer = sink) : from.consumers.push_back(sink);
    to.producer == kNone ? void(to.producer = source) : to.producers.push_back(source);
  }

  // Runs on until `frames` frames have left, nothing can move any more, or `slice` cycles are over.
  int32_t run(const Run& to_do, int64_t slice) {
    if (wheel_.size() != nodes_.size()) {
      wheel_.resize(nodes_.size());
      wheel_.wake_all();
    }
    const Stall source_stall(to_do.stall, to_do.seed, kSourceStream);
    const Stall sink_stall(to_do.stall, to_do.seed, kSinkStream);
    const int64_t end = cycle + slice;
    while (cycle < end) {
      drive(to_do, source_stall(cycle), sink_stall(cycle));
      const bool worked = walk(to_do.every);
      const bool taken = source_valid_ != 0 && kernels_.front()->in_ready != 0;
      if (taken && accepted++ == 0) first_accept = cycle;
      ++cycle;
      if (delivers_ && ++produced % to_do.out_beats == 0) {
        completion.push_back(cycle - 1);
        if (static_cast<int64_t>(completion.size()) == to_do.frames) return kDone;
      }
      idle_ = worked || taken || delivers_ ? 0 : idle_ + 1;
      if (idle_ > 0 && !pass_time(to_do, end)) return kStopped;
    }
    return kMore;
  }

  // Brings the counts of all kernels up to the current cycle.
  void settle() {
    for (Node& node : nodes_) catch_up(node);
  }

  const std::vector<const Fifo*>& fifos() const { return fifos_; }
  size_t size() const { return nodes_.size(); }
  const std::array<int64_t, 3>& activity(size_t kernel) const { return nodes_[kernel].activity; }
  int64_t idle() const { return idle_; }

  static constexpr int32_t kStopped = 0, kDone = 1, kMore = 2;
  int64_t cycle = 0, first_accept = -1, accepted = 0, produced = 0;
  int64_t steps = 0;  // of kernels, all together
  std::vector<int64_t> completion;

 private:
  // A bit of what the kernel at the far end of a wire last said.
  struct End {
    const Ports* ports;
    int shift;
    Ports read() const { return (*ports >> shift) & 1; }
  };
  static constexpr size_t kNone = ~size_t{0};
  enum Mode : uint8_t { kAwake, kStill, kInSpan, kInReadingSpan };
  struct Node {
    Kernel* kernel = nullptr;
    End input, output;                       // the first ones
    int64_t at = 0;                          // its state is that of the start of this cycle
    Mode mode = kAwake;
    Activity doing = kWaiting;               // since then
    bool several = false;                    // inputs or outputs
    size_t consumer = kNone, producer = kNone;  // the first ones
    std::array<int64_t, 3> activity{};       // cycles of each
    std::vector<End> inputs, outputs;        // all of them, where there are several
    std::vector<size_t> consumers, producers;  // all but the first ones
  };
  static Ports read(const End& only, const std::vector<End>& all) {
    if (all.empty()) return only.read();
    Ports bits = 0;
    for (size_t i = 0; i < all.size(); ++i) bits |= all[i].read() << i;
    return bits;
  }
  // Puts the far end of wire number `index` of a kernel's side in its place; wires may come in any order.
  static void connect(End& first, std::vector<End>& all, int64_t index, End far) {
    const auto place = static_cast<size_t>(index);
    if (place == 0) first = far;
    if (place >= all.size() && (place > 0 || !all.empty())) all.resize(place + 1, first);
    if (!all.empty()) all[place] = far;
  }

  // Both ends of the pipeline for this cycle.
  void drive(const Run& to_do, bool source_stalls, bool sink_stalls) {
    const bool held = source_valid_ != 0 && kernels_.front()->in_ready == 0 && cycle > 0;
    const bool due = accepted < to_do.frames * to_do.in_beats && cycle >= release(to_do);
    const Ports valid = due && (held || !source_stalls);
    const Ports ready = !sink_stalls;
    if (valid != source_valid_) wheel_.wake_now(0);
    if (ready != sink_ready_) wheel_.wake_now(nodes_.size() - 1);
    source_valid_ = valid;
    sink_ready_ = ready;
    delivers_ = kernels_.back()->out_valid != 0 && sink_ready_ != 0;
  }
  // The cycle before which the source's next beat is not offered.
  int64_t release(const Run& to_do) const { return accepted / to_do.in_beats * to_do.interval; }

  // Steps all kernels that are awake in this cycle; returns whether one of them moved.
  bool walk(bool every) {
    if (every) wheel_.wake_all();
    bool moved = false;
    for (int64_t i = wheel_.start(cycle); i >= 0; i = wheel_.next()) moved |= step(static_cast<size_t>(i), every);
    return moved;
  }

  bool step(size_t index, bool every) {
    Node& node = nodes_[index];
    Kernel& kernel = *node.kernel;
    catch_up(node);
    ++steps;
    const Ports in_valid = node.several ? read(node.input, node.inputs) : node.input.read();
    const Ports out_ready = node.several ? read(node.output, node.outputs) : node.output.read();
    const Ports valid = kernel.out_valid, ready = kernel.in_ready;
    const Flow flow = kernel.step(in_valid, out_ready);
    kernel.in_ready = flow.ready;
    node.doing = flow.moved ? kBusy : (valid & ~out_ready) != 0 ? kStalled : kWaiting;
    ++node.activity[node.doing];
    node.at = cycle + 1;
    if (kernel.out_valid != valid && node.consumer != kNone) {
      wake_consumer(node.consumer);
      for (const size_t sink : node.consumers) wake_consumer(sink);
    }
    if (flow.ready != ready && node.producer != kNone) {
      wake_producer(node.producer);
      for (const size_t source : node.producers) wake_producer(source);
    }
    if (!every) lie_down(node, index, flow.stable);
    return flow.moved;
  }

  // A kernel whose input offers or withdraws a word from the next cycle on.
  void wake_consumer(size_t index) {
    if (nodes_[index].mode != kInSpan) wheel_.wake_next(index);
  }
  // A kernel whose output is taken, or refused, from this cycle on.
  void wake_producer(size_t index) {
    if (nodes_[index].mode <= kStill) wheel_.wake_now(index);
  }

  // Decides how long a kernel sleeps after its step.
  void lie_down(Node& node, size_t index, bool stable) {
    node.mode = kStill;
    if (stable) return;
    const Span span = node.kernel->span();
    if (span.cycles <= 1) {
      node.mode = kAwake;
      wheel_.wake_next(index);
      return;
    }
    node.mode = span.reads ? kInReadingSpan : kInSpan;
    node.doing = span.moves ? kBusy : kWaiting;
    if (span.cycles < Stages::kNever) wheel_.wake_at(index, cycle, cycle + 1 + span.cycles);
  }

  // Does what a sleeping kernel has not done yet, up to the current cycle.
  void catch_up(Node& node) {
    const int64_t slept = cycle - node.at;
    if (slept == 0) return;
    if (node.mode >= kInSpan) node.kernel->advance(slept);
    node.activity[node.doing] += slept;
    node.at = cycle;
  }

  // Nothing has moved: goes on to the next cycle in which something can; returns whether there is one.
  bool pass_time(const Run& to_do, int64_t end) {
    if (to_do.stall > 0 || to_do.every) return idle_ < to_do.patience;
    if (wheel_.awake()) return true;
    int64_t until = wheel_.next_due(cycle);
    const int64_t release_at = accepted < to_do.frames * to_do.in_beats ? release(to_do) : 0;
    if (release_at >= cycle && (until < 0 || release_at < until)) until = release_at;
    if (until < 0) return false;
    cycle = until < end ? until : end;
    idle_ = 0;
    return true;
  }

  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<Node> nodes_;
  std::vector<const Fifo*> fifos_;  // in the order of the kernels
  Wheel wheel_;
  Ports source_valid_ = 0, sink_ready_ = 0;
  bool delivers_ = false;  // a beat leaves in this cycle
  int64_t idle_ = 0;       // cycles since something moved
};

}  // namespace flipflow

#endif
