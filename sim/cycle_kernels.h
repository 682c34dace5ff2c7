// Kernels of the cycle model: the registers that decide WHEN a word moves, and none of its data.
//
// sim/cycle_model.py says what each one does, sim/pipeline.py validates all parameters; nothing is checked again here.

#ifndef FLIPFLOW_SIM_CYCLE_KERNELS_H_
#define FLIPFLOW_SIM_CYCLE_KERNELS_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>

namespace flipflow {

// A bit for every input or output of a kernel, the first in bit 0. Most have one of each.
using Ports = uint32_t;

// What a kernel answers in a cycle. ready: inputs at which it takes a word if one is offered there. moved: its state changed
// other than by shifting its pipeline.
struct Flow {
  Ports ready;
  bool moved;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  // One clock cycle. in_valid and out_ready are those of this cycle; afterwards out_valid is that of the next one.
  virtual Flow step(Ports in_valid, Ports out_ready) = 0;
  Ports out_valid = 0;
  Ports in_ready = 0;  // what step said last
};

// Valid bits of `latency` register stages that all move, or all hold.
class Stages {
 public:
  explicit Stages(int64_t latency) : top_(uint64_t{1} << (latency - 1)) {}
  // Shifts a word or a bubble in; returns the valid of the last stage.
  bool shift(bool word) {
    bits_ = ((bits_ & (top_ - 1)) << 1) | (word ? 1 : 0);
    return (bits_ & top_) != 0;
  }

 private:
  uint64_t top_;
  uint64_t bits_ = 0;
};

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
    return {ready, push || pop};
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
    return {ready, push || pop};
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
    if (out_valid != 0 && out_ready == 0) return {0, false};
    const Flow flow = move(in_valid);
    out_valid = last_;
    return flow;
  }

 protected:
  // Moves all stages; afterwards last_ is the valid of the last one.
  Flow move(Ports in_valid) {
    const bool needs = step_ < consume_;
    const bool fire = !needs || in_valid != 0;
    const bool emit = fire && step_ == next_emit_;
    if (emit) next_emit_ += emit_period_;
    if (fire && ++step_ == steps_) {
      step_ = 0;
      next_emit_ = emit_from_;
    }
    last_ = stages_.shift(emit);
    return {needs, fire};
  }
  bool last_ = false;

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
    if (full_) {
      full_ = out_ready == 0;
      out_valid = full_ || last_;
      return {0, out_ready != 0};
    }
    full_ = last_ && out_ready == 0;
    const Flow flow = move(in_valid);
    out_valid = full_ || last_;
    return flow;
  }

 private:
  bool full_ = false;
};

struct WindowShape {
  int64_t words_per_pixel, ifm_height, ifm_width, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, ofm_height,
      ofm_width, rows, latency;
};

// Sliding-window generator: a writer fills a ring of rows while a reader walks oy, ox, ky, kx, cf over it.
class Window final : public Kernel {
 public:
  explicit Window(const int64_t* p)
      : s_{p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12]},
        row_words_(s_.ifm_width * s_.words_per_pixel),
        ring_words_(s_.rows * row_words_),
        frame_words_(s_.ifm_height * row_words_),
        rows_used_(std::min(s_.ifm_height, (s_.ofm_height - 1) * s_.stride_h - s_.pad_top + s_.kernel_h)),
        stages_(s_.latency),
        needed_(offset()) {}

  Flow step(Ports in_valid, Ports out_ready) override {
    const bool dropping = written_ >= rows_used_ * row_words_;
    const bool ready = dropping || occupied_ < ring_words_;
    const bool enable = out_ready != 0 || out_valid == 0;
    const bool fire = enable && needed_ < occupied_;
    if (fire) {
      occupied_ -= advance() * row_words_;
      needed_ = offset();
    }
    if (enable) out_valid = stages_.shift(fire);
    const bool push = in_valid != 0 && ready;
    if (push) {
      occupied_ += dropping ? 0 : 1;
      if (++written_ == frame_words_) written_ = 0;
    }
    return {ready, push || fire};
  }

 private:
  static constexpr int64_t kPadding = std::numeric_limits<int64_t>::min();  // never waits for the writer

  // First input row the reader may still need in output row oy.
  int64_t base(int64_t oy) const { return std::clamp<int64_t>(oy * s_.stride_h - s_.pad_top, 0, rows_used_); }

  // Position of the reader's tap in the words held, counted from the base row.
  int64_t offset() const {
    const int64_t iy = oy_ * s_.stride_h - s_.pad_top + ky_;
    const int64_t ix = ox_ * s_.stride_w - s_.pad_left + kx_;
    if (iy < 0 || iy >= s_.ifm_height || ix < 0 || ix >= s_.ifm_width) return kPadding;
    return (iy - base(oy_)) * row_words_ + ix * s_.words_per_pixel + cf_;
  }

  // Moves the reader to its next tap; returns the number of rows it releases.
  int64_t advance() {
    if (++cf_ < s_.words_per_pixel) return 0;
    cf_ = 0;
    if (++kx_ < s_.kernel_w) return 0;
    kx_ = 0;
    if (++ky_ < s_.kernel_h) return 0;
    ky_ = 0;
    if (++ox_ < s_.ofm_width) return 0;
    ox_ = 0;
    const int64_t from = base(oy_);
    if (++oy_ < s_.ofm_height) return base(oy_) - from;
    oy_ = 0;
    return rows_used_ - from;
  }

  const WindowShape s_;
  const int64_t row_words_, ring_words_, frame_words_, rows_used_;
  Stages stages_;
  int64_t cf_ = 0, kx_ = 0, ky_ = 0, ox_ = 0, oy_ = 0;
  int64_t written_ = 0;   // words of the frame the writer has taken
  int64_t occupied_ = 0;  // words stored from the base row on; below 0 where rows were released before they came
  int64_t needed_;        // offset of the reader's tap
};

// One register with a bit for every output that still has to take its word; ready once all have, or do so now.
class Fork final : public Kernel {
 public:
  explicit Fork(const int64_t* p) : all_(static_cast<Ports>((uint64_t{1} << p[0]) - 1)) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    const Ports left = out_valid & ~out_ready;
    const bool ready = left == 0;
    const bool moved = left != out_valid || (ready && in_valid != 0);
    out_valid = ready && in_valid != 0 ? all_ : left;
    return {ready, moved};
  }

 private:
  const Ports all_;
};

// Takes a word at both of its inputs in the same cycle. The stages move unless the last one is refused.
class Join final : public Kernel {
 public:
  explicit Join(const int64_t* p) : stages_(p[0]) {}
  Flow step(Ports in_valid, Ports out_ready) override {
    if (out_valid != 0 && out_ready == 0) return {0, false};
    const bool fire = in_valid == kBoth;
    out_valid = stages_.shift(fire);
    return {fire ? kBoth : 0, fire};
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
    if (out_valid != 0 && out_ready == 0) return {0, false};
    const bool needs = word_ >= from_ && word_ < to_;
    const bool fire = !needs || in_valid != 0;
    if (fire && ++word_ == words_) word_ = 0;
    out_valid = stages_.shift(fire);
    return {needs, fire};
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
