// The engine of the cycle model: steps a directed acyclic graph of kernels, but only those of which something can be seen.
//
// In one cycle every kernel sees the valids of its producers (registered, so known at the start of the cycle) and the readies
// of its consumers (combinational, so known once the consumers were asked). Walking in reverse topological order therefore
// settles and clocks the whole graph in one pass.
//
// A kernel sleeps while its state stands still (until an input of its changes) or while it is in a span (see cycle_kernel.h;
// until that ends). Waking a kernel too early does no harm: a step is a step. Cycles in which all sleep are skipped.
// Where the state at the end of a frame equals that at the end of an earlier one, all that lies between repeats itself for as
// long as the source does, and is added rather than stepped.

#ifndef FLIPFLOW_SIM_CYCLE_ENGINE_H_
#define FLIPFLOW_SIM_CYCLE_ENGINE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "cycle_kernels.h"
#include "cycle_wheel.h"
#include "harness/stall.h"

namespace flipflow {

// What a run is told. interval: a frame's beats are not offered before frame * interval. patience: with random stalls, cycles
// without any movement after which the pipeline counts as stuck. every: all kernels are stepped in every cycle and nothing is
// added up, as a check of the above. until_repeat: stop where all repeats itself. latency, where it is not 0: stop where frame n
// is not done in cycle latency + n * interval, counted from the first beat taken.
struct Run {
  int64_t frames, in_beats, out_beats, interval, latency, patience;
  double stall;
  uint64_t seed;
  bool every, until_repeat;
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

  // Runs on until `frames` frames have left, nothing can move any more, a frame is late, or `slice` cycles are over.
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
        if (to_do.stall == 0 && !to_do.every && repeat(to_do) && to_do.until_repeat) return kDone;
      }
      idle_ = worked || taken || delivers_ ? 0 : idle_ + 1;
      if (idle_ > 0 && !pass_time(to_do, end)) return kStopped;
      if (to_do.latency > 0 && late(to_do)) return kLate;
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

  static constexpr int32_t kStopped = 0, kDone = 1, kMore = 2, kLate = 3;
  int64_t cycle = 0, first_accept = -1, accepted = 0, produced = 0;
  int64_t steps = 0;  // of kernels, all together
  int64_t period_cycles = 0, period_frames = 0;  // of what repeats itself; 0: nothing yet
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
  // The pipeline at the end of a frame, all that happened until then, and all that the future depends on.
  struct Snapshot {
    std::vector<int64_t> state;
    int64_t cycle, accepted, produced;
    std::vector<std::array<int64_t, 3>> activity;
  };
  static constexpr size_t kSnapshots = 16;

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

  // Whether a frame that should be done is not.
  bool late(const Run& to_do) const {
    const auto frame = static_cast<int64_t>(completion.size());
    return first_accept >= 0 && cycle > first_accept + to_do.latency + frame * to_do.interval;
  }

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

  // At the end of a frame: looks for an equal state at the end of an earlier one, and adds as many of the periods in between as
  // the source still gives beats for. Returns whether there is one.
  bool repeat(const Run& to_do) {
    Snapshot now = snapshot(to_do);
    for (const Snapshot& then : snapshots_) {
      if (then.state != now.state) continue;
      period_cycles = now.cycle - then.cycle;
      period_frames = (now.produced - then.produced) / to_do.out_beats;
      if (to_do.until_repeat) return true;
      const int64_t beats = now.accepted - then.accepted;
      const int64_t left = to_do.frames * to_do.in_beats - 1 - now.accepted;
      const int64_t frames_left = to_do.frames - 1 - static_cast<int64_t>(completion.size());
      const int64_t periods = std::min(left / beats, frames_left / period_frames);
      if (periods <= 0) break;
      add_periods(then, now, periods);
      snapshots_.clear();
      return true;
    }
    snapshots_.push_back(std::move(now));
    if (snapshots_.size() > kSnapshots) snapshots_.pop_front();
    return false;
  }

  Snapshot snapshot(const Run& to_do) {
    settle();
    Snapshot now{{}, cycle, accepted, produced, {}};
    now.state.reserve(8 * nodes_.size());
    // The beats of the frame that is coming in, how long it has been due, and what is offered.
    now.state.push_back(accepted % to_do.in_beats);
    now.state.push_back(to_do.interval > 0 ? cycle - release(to_do) : 0);
    now.state.push_back(source_valid_);
    for (const Node& node : nodes_) {
      node.kernel->state(now.state);
      now.state.push_back(node.kernel->in_ready);
      now.activity.push_back(node.activity);
    }
    return now;
  }

  void add_periods(const Snapshot& then, const Snapshot& now, int64_t periods) {
    const size_t first = completion.size() - static_cast<size_t>(period_frames);
    for (int64_t i = 0; i < periods * period_frames; ++i) {
      completion.push_back(completion[first + static_cast<size_t>(i)] + period_cycles);
    }
    cycle += periods * period_cycles;
    accepted += periods * (now.accepted - then.accepted);
    produced += periods * (now.produced - then.produced);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      nodes_[i].at = cycle;
      for (size_t k = 0; k < 3; ++k) nodes_[i].activity[k] += periods * (now.activity[i][k] - then.activity[i][k]);
    }
    wheel_.wake_all();  // what was set to wake then is of a time gone by
  }

  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<Node> nodes_;
  std::vector<const Fifo*> fifos_;  // in the order of the kernels
  Wheel wheel_;
  std::deque<Snapshot> snapshots_;
  Ports source_valid_ = 0, sink_ready_ = 0;
  bool delivers_ = false;  // a beat leaves in this cycle
  int64_t idle_ = 0;       // cycles since something moved
};

}  // namespace flipflow

#endif
