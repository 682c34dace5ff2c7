// What the kernels of the cycle model have in common: the registers that decide WHEN a word moves, and none of its data.
//
// sim/cycle_model.py says what each kernel does, sim/pipeline.py validates all parameters; nothing is checked again here.

#ifndef FLIPFLOW_SIM_CYCLE_KERNEL_H_
#define FLIPFLOW_SIM_CYCLE_KERNEL_H_

#include <cstdint>

namespace flipflow {

// A bit for every input or output of a kernel, the first in bit 0. Most have one of each.
using Ports = uint32_t;

// What a kernel answers in a cycle. ready: inputs at which it takes a word if one is offered there. moved: it did something
// other than shift its pipeline. stable: its state is as before, so that the same inputs would change nothing again.
struct Flow {
  Ports ready;
  bool moved;
  bool stable;
};

// Cycles of which a kernel knows beforehand that nothing will be seen of it: no change of what it offers or asks for, whatever
// its consumers do. moves: it does something in each of them. reads: all of this only as long as its input's valid stays.
struct Span {
  int64_t cycles;
  bool moves;
  bool reads;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  // One clock cycle. in_valid and out_ready are those of this cycle; afterwards out_valid is that of the next one.
  virtual Flow step(Ports in_valid, Ports out_ready) = 0;
  // The span after the last step, its input's valid staying as it was then.
  virtual Span span() const { return {0, false, true}; }
  // Does what so many steps within the span would do.
  virtual void advance(int64_t /*cycles*/) {}
  Ports out_valid = 0;
  Ports in_ready = 0;  // what step said last
};

// Valid bits of `latency` register stages that all move, or all hold.
class Stages {
 public:
  explicit Stages(int64_t latency) : latency_(latency), top_(uint64_t{1} << (latency - 1)) {}
  // Shifts a word or a bubble in; returns the valid of the last stage.
  bool shift(bool word) {
    bits_ = ((bits_ & (top_ - 1)) << 1) | (word ? 1 : 0);
    return (bits_ & top_) != 0;
  }
  void bubbles(int64_t count) { bits_ = count < 64 ? bits_ << count : 0; }
  // How many bubbles can be shifted in until the next one brings a word to the last stage (kNever: none is on its way).
  int64_t ahead() const {
    if (bits_ == 0) return kNever;
    return latency_ - 2 - (63 - __builtin_clzll(bits_));
  }
  uint64_t bits() const { return bits_; }
  static constexpr int64_t kNever = int64_t{1} << 62;

 private:
  const int64_t latency_;
  const uint64_t top_;
  uint64_t bits_ = 0;
};

}  // namespace flipflow

#endif
