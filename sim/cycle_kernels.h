// Kernels of the cycle model; sim/cycle_model.py says what each one does.

#ifndef FLIPFLOW_SIM_CYCLE_KERNELS_H_
#define FLIPFLOW_SIM_CYCLE_KERNELS_H_

#include <algorithm>
#include <cstdint>
#include <memory>

#include "cycle_kernel.h"
#include "cycle_window.h"

namespace flipflow {

class Fifo final : public Kernel {
 public:
  explicit Fifo(const int64_t* p) : depth_(p[0]) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    const bool ready = count_ < depth_;
    const bool push = in_valid != 0 && ready;
    const bool pop = (out_valid & out_ready) != 0;
    count_ += static_cast<int64_t>(push) - static_cast<int64_t>(pop);
    high_water_ = std::max(high_water_, count_);
    out_valid = count_ > 0;
    return {ready, push || pop, push == pop};
  }
  int64_t high_water() const { return high_water_; }
  bool full() const { return count_ == depth_; }
  bool empty() const { return count_ == 0; }

 private:
  const int64_t depth_;
  int64_t count_ = 0;
  int64_t high_water_ = 0;
};

// Width converter of any ratio: `level` elements in a buffer of `cap`.
class Gearbox final : public Kernel {
 public:
  explicit Gearbox(const int64_t* p) : in_elems_(p[0]), out_elems_(p[1]), cap_(p[2]) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    const bool ready = level_ + in_elems_ <= cap_;
    const bool push = in_valid != 0 && ready;
    const bool pop = (out_valid & out_ready) != 0;
    level_ += (push ? in_elems_ : 0) - (pop ? out_elems_ : 0);
    out_valid = level_ >= out_elems_;
    return {ready, push || pop, !push && !pop};
  }

 private:
  const int64_t in_elems_, out_elems_, cap_;
  int64_t level_ = 0;
};

// `steps` steps a vector; the first `consume` take an input word; a step s emits if s >= emit_from and
// (s - emit_from) % emit_period == 0. The stages move unless the last one is refused.
class Steps : public Kernel {
 public:
  explicit Steps(const int64_t* p)
      : steps_(p[0]), consume_(p[1]), emit_from_(p[2]), emit_period_(p[3]), stages_(p[4]), next_emit_(p[2]) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    if (out_valid != 0 && out_ready == 0) return {0, false, true};
    const Ports before = out_valid;
    Flow flow = move(in_valid);
    out_valid = last_;
    flow.stable = flow.stable && out_valid == before;
    return flow;
  }
  Span span() const override {
    const bool needs = step_ < consume_;
    const bool fires = !needs || offered_;
    int64_t cycles = out_valid != 0 || (in_ready != 0) != needs ? 0 : stages_.ahead();
    if (fires) {
      // Up to the next step that emits, the last one that takes a word, or the one before the vector's last.
      cycles = std::min(cycles, next_emit_ < steps_ ? next_emit_ - step_ : steps_ - 1 - step_);
      if (needs) cycles = std::min(cycles, std::min(consume_, steps_ - 1) - step_);
    }
    return {cycles, fires, needs};
  }
  void advance(int64_t cycles) override {
    if (step_ >= consume_ || offered_) step_ += cycles;
    stages_.bubbles(cycles);
  }

 protected:
  // Moves all stages; afterwards last_ is the valid of the last one.
  Flow move(Ports in_valid) {
    const int64_t step = step_;
    const uint64_t bits = stages_.bits();
    const bool needs = step_ < consume_;
    offered_ = in_valid != 0;
    const bool fire = !needs || offered_;
    const bool emit = fire && step_ == next_emit_;
    if (emit) next_emit_ += emit_period_;
    if (fire && ++step_ == steps_) {
      step_ = 0;
      next_emit_ = emit_from_;
    }
    last_ = stages_.shift(emit);
    return {needs, fire, step_ == step && stages_.bits() == bits};
  }
  bool last_ = false;
  bool offered_ = false;  // its input's valid in the last step, where a span may follow that

 private:
  const int64_t steps_, consume_, emit_from_, emit_period_;
  Stages stages_;
  int64_t step_ = 0;
  int64_t next_emit_;
};

// The same with a skid buffer behind the last stage: a refused word goes there, and the stages stand until it is taken.
class SkidSteps final : public Steps {
 public:
  using Steps::Steps;
  Flow step(Ports in_valid, Ports out_ready) override {
    const bool full = full_;
    const Ports before = out_valid;
    offered_ = in_valid != 0;
    if (full_) {
      full_ = out_ready == 0;
      out_valid = full_ || last_;
      return {0, out_ready != 0, full_ && out_valid == before};
    }
    full_ = last_ && out_ready == 0;
    Flow flow = move(in_valid);
    out_valid = full_ || last_;
    flow.stable = flow.stable && full_ == full && out_valid == before;
    return flow;
  }

 private:
  bool full_ = false;
};

// One register with a bit for every output that still has to take its word; ready once all have, or do so now.
class Fork final : public Kernel {
 public:
  explicit Fork(const int64_t* p) : all_(static_cast<Ports>((uint64_t{1} << p[0]) - 1)) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    const Ports before = out_valid;
    const Ports left = before & ~out_ready;
    const bool ready = left == 0;
    out_valid = ready && in_valid != 0 ? all_ : left;
    return {ready, left != before || (ready && in_valid != 0), out_valid == before};
  }

 private:
  const Ports all_;
};

// Takes a word at both of its inputs in the same cycle. The stages move unless the last one is refused.
class Join final : public Kernel {
 public:
  explicit Join(const int64_t* p) : stages_(p[0]) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    if (out_valid != 0 && out_ready == 0) return {0, false, true};
    const Ports before = out_valid;
    const uint64_t bits = stages_.bits();
    const bool fire = in_valid == kBoth;
    out_valid = stages_.shift(fire);
    return {fire ? kBoth : 0, fire, stages_.bits() == bits && out_valid == before};
  }

 private:
  static constexpr Ports kBoth = 3;
  Stages stages_;
};

// Words of a pixel with `before` and `after` further ones around the `pass` that it takes. The stages move unless the last one
// is refused.
class Pad final : public Kernel {
 public:
  explicit Pad(const int64_t* p) : from_(p[0]), to_(p[0] + p[1]), words_(p[0] + p[1] + p[2]), stages_(p[3]) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    if (out_valid != 0 && out_ready == 0) return {0, false, true};
    const Ports before = out_valid;
    const uint64_t bits = stages_.bits();
    const bool needs = word_ >= from_ && word_ < to_;
    const bool fire = !needs || in_valid != 0;
    if (fire && ++word_ == words_) word_ = 0;
    out_valid = stages_.shift(fire);
    return {needs, fire, !fire && stages_.bits() == bits && out_valid == before};
  }

 private:
  const int64_t from_, to_, words_;
  Stages stages_;
  int64_t word_ = 0;
};

// A kernel out of reset, null for an unknown model; models and parameters p in the order of PARAMETERS in sim/pipeline.py.
inline std::unique_ptr<Kernel> make_kernel(int32_t model, const int64_t* p) {
  switch (model) {
    case 0: return std::make_unique<Fifo>(p);
    case 1: return std::make_unique<Gearbox>(p);
    case 2: return std::make_unique<Steps>(p);
    case 3: return std::make_unique<Window>(p);
    case 4: return std::make_unique<SkidSteps>(p);
    case 5: return std::make_unique<Fork>(p);
    case 6: return std::make_unique<Join>(p);
    case 7: return std::make_unique<Pad>(p);
    default: return nullptr;
  }
}

}  // namespace flipflow

#endif
