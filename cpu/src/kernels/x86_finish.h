// What the epilogues of the x86 sets share: everything that needs no vectors. See x86_avx2_finish.h and x86_avx512_finish.h.
#pragma once

#include "kernels/x86_window.h"

namespace flipflow {
namespace {

// One block of 64 channels: places, and what form fixed is worked out in.
class FinishBlock {
 protected:
  // Where form fixed can be worked out: in 16-bit lanes up to q, with the rest in bytes; in 16-bit lanes; in 32-bit lanes.
  enum class Lines { bytes, halves, any };

  // Constants of form fixed, 0 beyond the last channel; fire within what the lanes hold.
  struct Channels {
    alignas(64) int32_t slope[64] = {}, shift[64] = {}, spare[64] = {}, fire[64] = {};
  };

  FinishBlock(Form form, const Shape& s, const Epilogue& epilogue, const Outputs& out, int32_t first)
      : epilogue_(epilogue), out_(out), first_(first), width_(s.out_width), channels_(s.out_channels),
        words_((s.out_channels + 63) / 64), count_(least(64, s.out_channels - first)), lines_(Lines::any), short_slope_(true),
        possible_(0) {
    used_ = count_ == 64 ? ~uint64_t{0} : (uint64_t{1} << count_) - 1;
    invert_ = form == Form::sums ? 0 : epilogue.invert[first / 64];
  }

  FLIPFLOW_INLINE int32_t class_offset(int32_t y, int32_t x) const {
    return (epilogue_.row_class[y] + epilogue_.column_class[x]) * words_ * 64 + first_;
  }
  FLIPFLOW_INLINE size_t pixel(int32_t y, int32_t x) const { return static_cast<size_t>(y) * width_ + x; }
  FLIPFLOW_INLINE void store_bits(int32_t y, int32_t x, uint64_t fires) const {
    out_.bits[pixel(y, x) * words_ + first_ / 64] = (fires ^ invert_) & used_;
  }

  static bool within(int32_t low, int32_t high, int32_t least_value, int32_t most_value) {
    return low >= least_value && high <= most_value;
  }

  // Whether q, and r in the maps, keep their values when saturated to 16 bits and to the maps' numbers.
  bool short_range() {
    const bool residual = out_.residual != nullptr;
    const int32_t low = residual ? epilogue_.r_min : epilogue_.q_min, high = residual ? epilogue_.r_max : epilogue_.q_max;
    least_ = epilogue_.fixed == Number::u8 ? 0 : epilogue_.fixed == Number::i8 ? -128 : -32768;
    most_ = epilogue_.fixed == Number::u8 ? 255 : epilogue_.fixed == Number::i8 ? 127 : 32767;
    return within(epilogue_.q_min, epilogue_.q_max, -32768, 32767) && within(low, high, least_, most_);
  }

  // Chooses the lanes where short_range() holds.
  // A slope that is a multiple of 2^n: (bias + slope * acc) >> shift = ((bias >> n) + (slope >> n) * acc) >> (shift - n).
  void read_channels(Channels& to) {
    const bool bytes = epilogue_.fixed != Number::i16 && within(epilogue_.q_min, epilogue_.q_max, least_, most_);
    lines_ = bytes ? Lines::bytes : Lines::halves;
    clamp_q_ = epilogue_.q_min > least_ || epilogue_.q_max < most_;
    clamp_r_ = epilogue_.r_min > least_ || epilogue_.r_max < most_;
    for (int32_t i = 0; i < count_; ++i) {
      const int32_t shift = epilogue_.shift[first_ + i];
      int32_t slope = epilogue_.slope[first_ + i];
      to.spare[i] = slope == 0 ? shift : least(__builtin_ctz(static_cast<uint32_t>(slope)), shift);
      slope >>= to.spare[i];  // without a loop, whose end no processor foresees
      to.slope[i] = slope, to.shift[i] = shift - to.spare[i];
      if (slope < -32768 || slope > 32767) short_slope_ = false;
      if (out_.bits == nullptr) continue;
      const int32_t at = epilogue_.fire[first_ + i], most = bytes ? most_ : 32767, low = bytes ? least_ : -32768;
      if (at <= most) possible_ |= uint64_t{1} << i;
      to.fire[i] = at < low ? low : least(at, most);
    }
  }

  const Epilogue& epilogue_;
  const Outputs& out_;
  int32_t first_, width_, channels_, words_, count_;
  uint64_t used_, invert_;
  Lines lines_;
  bool short_slope_;        // slopes fit 16 bits
  bool clamp_q_, clamp_r_;  // ranges narrower than the maps' numbers
  int32_t least_, most_;    // of the maps' numbers
  uint64_t possible_;       // channels whose `fire` the lanes can reach
};

}  // namespace
}  // namespace flipflow
