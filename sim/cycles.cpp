// Cycle model of a folded accelerator: the registers that decide WHEN a word moves, and none of its data.
//
// A pipeline is a chain of kernels. In one cycle every kernel sees the valid of its producer (registered, so known at
// the start of the cycle) and the ready of its consumer (combinational, so known once the consumer was asked). Walking
// from the sink to the source therefore settles and clocks the whole chain in one pass: a kernel is stepped only after
// its consumer gave its ready, and its producer still holds this cycle's valid.
//
// sim/cycle_model.py validates all parameters; nothing is checked again here. sim/cycles.py loads this library with ctypes
// (so that building it needs no Python headers) and repeats the declarations at the end of this file.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "harness/stall.h"

namespace {

// What a kernel answers in a cycle. ready: it takes a word if its producer offers one. moved: its state changed other
// than by shifting its pipeline.
struct Flow {
  bool ready;
  bool moved;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  // One clock cycle. in_valid and out_ready are those of this cycle; afterwards out_valid is that of the next one.
  virtual Flow step(bool in_valid, bool out_ready) = 0;
  bool out_valid = false;
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
  Flow step(bool in_valid, bool out_ready) override {
    const bool ready = count_ < depth_;
    const bool push = in_valid && ready;
    const bool pop = out_valid && out_ready;
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
  Flow step(bool in_valid, bool out_ready) override {
    const bool ready = level_ + in_elems_ <= cap_;
    const bool push = in_valid && ready;
    const bool pop = out_valid && out_ready;
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
  Flow step(bool in_valid, bool out_ready) override {
    if (out_valid && !out_ready) return {false, false};
    const Flow flow = move(in_valid);
    out_valid = last_;
    return flow;
  }

 protected:
  // Moves all stages; afterwards last_ is the valid of the last one.
  Flow move(bool in_valid) {
    const bool needs = step_ < consume_;
    const bool fire = !needs || in_valid;
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
  Flow step(bool in_valid, bool out_ready) override {
    if (full_) {
      full_ = !out_ready;
      out_valid = full_ || last_;
      return {false, out_ready};
    }
    full_ = last_ && !out_ready;
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

  Flow step(bool in_valid, bool out_ready) override {
    const bool dropping = written_ >= rows_used_ * row_words_;
    const bool ready = dropping || occupied_ < ring_words_;
    const bool enable = out_ready || !out_valid;
    const bool fire = enable && needed_ < occupied_;
    if (fire) {
      occupied_ -= advance() * row_words_;
      needed_ = offset();
    }
    if (enable) out_valid = stages_.shift(fire);
    const bool push = in_valid && ready;
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

class Pipeline {
 public:
  // Takes the next kernel in stream order; p: its parameters. Throws only std::bad_alloc.
  bool add(int32_t model, const int64_t* p) {
    switch (model) {
      case 0: {
        auto fifo = std::make_unique<Fifo>(p);
        fifos_.push_back(fifo.get());
        kernels_.push_back(std::move(fifo));
        return true;
      }
      case 1: kernels_.push_back(std::make_unique<Gearbox>(p)); return true;
      case 2: kernels_.push_back(std::make_unique<Steps>(p)); return true;
      case 3: kernels_.push_back(std::make_unique<Window>(p)); return true;
      case 4: kernels_.push_back(std::make_unique<SkidSteps>(p)); return true;
      default: return false;
    }
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
      bool ready = !sink_stall(cycle);
      bool moved = false;
      const bool delivered = kernels_.back()->out_valid && ready;
      for (size_t i = kernels_.size(); i-- > 0;) {
        const Flow flow = kernels_[i]->step(i == 0 ? offered_ : kernels_[i - 1]->out_valid, ready);
        ready = flow.ready;
        moved |= flow.moved;
      }
      if (offered_ && ready) {
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

  const std::vector<const Fifo*>& fifos() const { return fifos_; }

  static constexpr int32_t kStopped = 0, kDone = 1, kMore = 2;
  int64_t cycle = 0, first_accept = -1, accepted = 0, produced = 0;
  std::vector<int64_t> completion;

 private:
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<const Fifo*> fifos_;  // in stream order
  bool offered_ = false;            // the source holds a beat out until it is taken
  int64_t idle_ = 0;                // cycles since something moved
};

}  // namespace

// The interface of sim/cycles.py. No exception leaves it: what can fail says so in what it returns.
#define FLIPFLOW_API extern "C" __attribute__((visibility("default")))

// A new pipeline without kernels, null if the memory is used up. The caller gives it back to flipflow_cycles_free.
FLIPFLOW_API void* flipflow_cycles_new() { return new (std::nothrow) Pipeline; }

FLIPFLOW_API void flipflow_cycles_free(void* handle) { delete static_cast<Pipeline*>(handle); }

// Adds a kernel; model: 0 fifo, 1 gearbox, 2 steps, 3 window, 4 mvtu. Returns 1, 0 for an unknown model, -1 without memory.
FLIPFLOW_API int32_t flipflow_cycles_add(void* handle, int32_t model, const int64_t* parameters) {
  try {
    return static_cast<Pipeline*>(handle)->add(model, parameters) ? 1 : 0;
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

// fifos[number of FIFOs][3], in stream order: the most words held so far, 1 if full, 1 if empty.
FLIPFLOW_API void flipflow_cycles_fifos(const void* handle, int64_t* fifos) {
  for (const Fifo* fifo : static_cast<const Pipeline*>(handle)->fifos()) {
    *fifos++ = fifo->high_water();
    *fifos++ = fifo->full() ? 1 : 0;
    *fifos++ = fifo->empty() ? 1 : 0;
  }
}
