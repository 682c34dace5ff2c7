// The sliding-window generator of the cycle model.

#ifndef FLIPFLOW_SIM_CYCLE_WINDOW_H_
#define FLIPFLOW_SIM_CYCLE_WINDOW_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "cycle_kernel.h"

namespace flipflow {

struct WindowShape {
  int64_t words_per_pixel, ifm_height, ifm_width, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, ofm_height,
      ofm_width, rows, latency;

  // p: the members in their order.
  static WindowShape of(const int64_t* p) {
    return {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12]};
  }
  int64_t row_words() const { return ifm_width * words_per_pixel; }
  // Input rows that the reader ever needs.
  int64_t rows_used() const { return std::min(ifm_height, (ofm_height - 1) * stride_h - pad_top + kernel_h); }
  // First input row the reader may still need in output row oy.
  int64_t base(int64_t oy) const { return std::clamp<int64_t>(oy * stride_h - pad_top, 0, rows_used()); }
};

// Sliding-window generator: a writer fills a ring of rows while a reader walks oy, ox, ky, kx, cf over it.
class Window final : public Kernel {
 public:
  explicit Window(const int64_t* p)
      : s_(WindowShape::of(p)),
        row_words_(s_.row_words()),
        ring_words_(s_.rows * row_words_),
        frame_words_(s_.ifm_height * row_words_),
        rows_used_(s_.rows_used()),
        stages_(s_.latency),
        needed_(offset()) {}

  Flow step(Ports in_valid, Ports out_ready) override {
    const bool dropping = written_ >= rows_used_ * row_words_;
    const bool ready = dropping || occupied_ < ring_words_;
    const bool enable = out_ready != 0 || out_valid == 0;
    const bool fire = enable && needed_ < occupied_;
    const bool push = in_valid != 0 && ready;
    bool stable = !fire && !push;
    if (fire) {
      occupied_ -= next_tap() * row_words_;
      needed_ = offset();
    }
    if (enable) {
      const uint64_t bits = stages_.bits();
      const Ports before = out_valid;
      out_valid = stages_.shift(fire);
      stable = stable && stages_.bits() == bits && out_valid == before;
    }
    if (push) {
      occupied_ += dropping ? 0 : 1;
      if (++written_ == frame_words_) written_ = 0;
    }
    return {ready, push || fire, stable};
  }

 private:
  static constexpr int64_t kPadding = std::numeric_limits<int64_t>::min();  // never waits for the writer

  // Position of the reader's tap in the words held, counted from the base row.
  int64_t offset() const {
    const int64_t iy = oy_ * s_.stride_h - s_.pad_top + ky_;
    const int64_t ix = ox_ * s_.stride_w - s_.pad_left + kx_;
    if (iy < 0 || iy >= s_.ifm_height || ix < 0 || ix >= s_.ifm_width) return kPadding;
    return (iy - s_.base(oy_)) * row_words_ + ix * s_.words_per_pixel + cf_;
  }

  // Moves the reader to its next tap; returns the number of rows it releases.
  int64_t next_tap() {
    if (++cf_ < s_.words_per_pixel) return 0;
    cf_ = 0;
    if (++kx_ < s_.kernel_w) return 0;
    kx_ = 0;
    if (++ky_ < s_.kernel_h) return 0;
    ky_ = 0;
    if (++ox_ < s_.ofm_width) return 0;
    ox_ = 0;
    const int64_t from = s_.base(oy_);
    if (++oy_ < s_.ofm_height) return s_.base(oy_) - from;
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

}  // namespace flipflow

#endif
