// Integer convolution with NEON, for each file that includes it with its own Ops: u8, i8 or i16 inputs, i8 weights.
//
// Scratch is the padded map in int8 (u8 inputs less 128, which Layout::dot4x4's sums of weights give back) or int16, and 64 spare
// bytes, since copies of windows run up to 31 bytes over a row's end; what they bring along meets weights of 0 or is overwritten.
// A tile of 4 pixels copies its windows to a buffer on the stack, fan-in after fan-in, and meets 16 channels at a time. Fan-ins of
// more than kMaxFanIn values, and int16 weights, are not accepted.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/neon_epilogue.h"
#include "kernels/neon_fixed.h"
#include "kernels/neon_integer_tiles.h"
#include "kernels/neon_window.h"

namespace flipflow {
namespace {

constexpr int64_t kMaxFanIn = 16384;

int64_t integer_fan_in(const Shape& s) { return static_cast<int64_t>(s.taps()) * s.in_channels; }
size_t value_bytes(const Shape& s) { return s.input == Number::i16 ? 2 : 1; }

bool accepts_integer(const Shape& s) {
  return s.weights == Number::i8 && integer_fan_in(s) <= kMaxFanIn && s.input != Number::i32 && s.input != Number::bits;
}

size_t integer_scratch(const Shape& s) {
  return static_cast<size_t>(padded_rows(s)) * padded_columns(s) * s.in_channels * value_bytes(s) + 64;
}

// Copies `bytes` bytes of a map row, taking 128 from each where the input is u8.
void copy_values(const Shape& s, uint8_t* to, const uint8_t* from, size_t bytes) {
  if (s.input != Number::u8) {
    std::memcpy(to, from, bytes);
    return;
  }
  size_t i = 0;
  for (; i + 16 <= bytes; i += 16) vst1q_u8(to + i, veorq_u8(vld1q_u8(from + i), vdupq_n_u8(0x80)));
  for (; i < bytes; ++i) to[i] = from[i] ^ 0x80;
}

void prepare_integer(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const int32_t columns = padded_columns(s);
  const size_t pixel = s.in_channels * value_bytes(s);
  const int zero = s.input == Number::u8 ? 0x80 : 0;
  const int32_t inside = std::max(0, std::min(s.in_width, columns - s.pad_left));
  const int32_t right = std::max(0, columns - s.pad_left - inside), left = columns - inside - right;
  auto* to = static_cast<uint8_t*>(scratch) + begin * columns * pixel;
  for (int32_t row = begin; row < end; ++row, to += columns * pixel) {
    const int32_t y = row - s.pad_top;
    if (y < 0 || y >= s.in_height) {
      std::memset(to, zero, columns * pixel);
      continue;
    }
    const auto* from = static_cast<const uint8_t*>(input) + static_cast<size_t>(y) * s.in_width * pixel;
    std::memset(to, zero, left * pixel);
    copy_values(s, to + left * pixel, from, inside * pixel);
    std::memset(to + (left + inside) * pixel, zero, right * pixel);
  }
  if (end == padded_rows(s)) std::memset(to, 0, 64);
}

// One word of 64 output channels, or fewer at the end, over rows of pixels. Value: int8_t or int16_t, as in scratch.
template <class Inner, typename Value>
class IntegerWord {
 public:
  IntegerWord(const Shape& s, const void* packed, const void* scratch, const Epilogue& e, const Outputs& out, int32_t word)
      : s_(s), e_(e), out_(out), word_(word), fours_(static_cast<size_t>(integer_fan_in(s) + 3) / 4),
        row_bytes_(static_cast<size_t>(s.kernel_width) * s.in_channels * sizeof(Value)),
        row_stride_(static_cast<size_t>(padded_columns(s)) * s.in_channels),
        map_(static_cast<const Value*>(scratch)), count_(std::min(64, s.out_channels - word * 64)) {
    if (e.form == Form::fixed && count_ == 64) fixed_.emplace(s, e, out, word);
    direct_ = fixed_ && e.fixed == Number::i8 && e.q_min >= -128 && e.q_max <= 127 && out.residual == nullptr &&
              out.bits == nullptr && out.fixed != nullptr;
    const auto* weights = static_cast<const int8_t*>(packed);
    weights_ = weights + static_cast<size_t>(word) * 16 * 16 * fours_;
    small_ = Inner::kWantsSmall && s.out_height * s.out_width >= 16 &&
             small_weights(weights_, static_cast<size_t>(count_ + 3) / 4 * 16 * fours_);
    if (s.input == Number::u8) {
      const size_t groups = static_cast<size_t>(s.out_channels + 3) / 4;
      sums_ = reinterpret_cast<const int32_t*>(weights + groups * 16 * fours_) + word * 64;
    }
  }

  template <int P>
  void run(const Tile& tile) {
    const size_t row = fours_ * 4;
    for (int p = 0; p < P; ++p) gather(map_ + tile.window[p] * s_.in_channels, acts_ + p * row);
    for (int p = 0; p < P; ++p) offset_[p] = class_offset(s_, e_, tile, p);
    alignas(64) int32_t acc[P][64];
    constexpr int kPixels = P < Inner::kPixels ? P : Inner::kPixels;
    const int groups = (count_ + 3) / 4;
    for (int p = 0; p < P; p += kPixels) {
      int g = 0;
      for (; g + 4 <= groups; g += 4) some_groups<kPixels, 4>(g, 64, tile, p, acc + p);
      for (; g < groups; ++g) some_groups<kPixels, 1>(g, 16 * (groups % 4), tile, p, acc + p);
    }
    if (direct_) return;
    for (int p = 0; p < P; ++p) finish(tile, p, acc[p]);
  }

 private:
  // Copies 16 bytes at a time beyond the ends of rows; see the top of the file.
  void gather(const Value* from, Value* to) const {
    if (row_bytes_ > 16 && row_bytes_ <= 32) {  // 7 pixels of 3 bytes
      auto* target = reinterpret_cast<uint8_t*>(to);
      const size_t bytes = row_bytes_, stride = row_stride_;
      for (int32_t ky = s_.kernel_height; ky != 0; --ky, from += stride, target += bytes) {
        const auto* source = reinterpret_cast<const uint8_t*>(from);
        const uint8x16_t first = vld1q_u8(source), second = vld1q_u8(source + 16);
        vst1q_u8(target, first);
        vst1q_u8(target + 16, second);
      }
      return;
    }
    for (int32_t ky = 0; ky < s_.kernel_height; ++ky, from += row_stride_) {
      const auto* source = reinterpret_cast<const uint8_t*>(from);
      auto* target = reinterpret_cast<uint8_t*>(to) + ky * row_bytes_;
      for (size_t i = 0; i < row_bytes_; i += 16) vst1q_u8(target + i, vld1q_u8(source + i));
    }
  }

  void finish(const Tile& tile, int p, const int32_t* acc) const {
    if (count_ < 64) return finish_word(s_, e_, out_, false, tile.y[p], tile.x[p], word_, acc);
    const size_t pixel = tile.pixel + p;
    if (e_.form == Form::sums) {
      std::memcpy(out_.sums + pixel * s_.out_channels + word_ * 64, acc, 64 * sizeof *acc);
      return;
    }
    const int32_t offset = offset_[p];
    if (fixed_) return finish_fixed(*fixed_, pixel, offset, acc);
    out_.bits[pixel * s_.out_words() + word_] = fired(acc, e_.limit + offset + word_ * 64) ^ e_.invert[word_];
  }

  template <int P, int G>
  void some_groups(int first, size_t stride, const Tile& tile, int pixel, int32_t out[P][64]) const {
    int32x4_t acc[P][G];
    FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
      const int32x4_t start = s_.input == Number::u8 ? vld1q_s32(sums_ + 4 * (first + g)) : vdupq_n_s32(0);
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) acc[p][g] = start;
    }
    const int8_t* w = weights_ + first / 4 * 64 * fours_ + 16 * (first % 4);
    Inner::template run<P, G>(acts_ + pixel * fours_ * 4, fours_ * 4, w, G == 4 ? 64 : stride, fours_, small_, acc);
    if constexpr (G == 4) {
      if (direct_) return write_bytes<P>(first, tile, pixel, acc);
    }
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) vst1q_s32(out[p] + 4 * (first + g), acc[p][g]);
    }
  }

  // int8 alone, from the accumulators of 16 channels.
  template <int P, int G>
  FLIPFLOW_INLINE void write_bytes(int first, const Tile& tile, int pixel, const int32x4_t (&acc)[P][G]) const {
    const int32_t m = word_ * 64 + 4 * first;
    const int8x16_t least = vdupq_n_s8(static_cast<int8_t>(e_.q_min)), most = vdupq_n_s8(static_cast<int8_t>(e_.q_max));
    int32x4_t slope[G], left[G];
    FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
      slope[g] = vld1q_s32(e_.slope + m + 4 * g);
      left[g] = vld1q_s32(fixed_->left + 4 * (first + g));
    }
    auto* to = static_cast<int8_t*>(out_.fixed) + (tile.pixel + pixel) * s_.out_channels + m;
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p, to += s_.out_channels) {
      const int32_t* bias = e_.bias + offset_[pixel + p] + m;
      int16x4_t value[G];
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
        value[g] = vqmovn_s32(vshlq_s32(vmlaq_s32(vld1q_s32(bias + 4 * g), slope[g], acc[p][g]), left[g]));
      }
      const int8x16_t bytes = vqmovn_high_s16(vqmovn_s16(vcombine_s16(value[0], value[1])), vcombine_s16(value[2], value[3]));
      vst1q_s8(to, vmaxq_s8(vminq_s8(bytes, most), least));
    }
  }

  const Shape& s_;
  const Epilogue& e_;
  const Outputs& out_;
  const int32_t word_;
  const size_t fours_, row_bytes_, row_stride_;
  const Value* const map_;
  const int32_t count_;
  const int8_t* weights_;
  const int32_t* sums_ = nullptr;
  bool small_;           // no weight is -128, as far as that is worth a look
  bool direct_ = false;  // write_bytes() does it
  int32_t offset_[4];    // of the classes of the tile's pixels
  std::optional<FixedWord> fixed_;  // form fixed of full words
  alignas(64) Value acts_[4 * kMaxFanIn + 64];
};

template <class Inner, typename Value>
void run_values(const Shape& s, const void* packed, const void* scratch, const Epilogue& e, const Outputs& out,
                const Share& share) {
  for (int32_t m = share.channel_begin; m < share.channel_end; m += 64) {
    IntegerWord<Inner, Value> word(s, packed, scratch, e, out, m / 64);
    for_each_tile(s, share.row_begin, share.row_end, word);
  }
}

template <class Ops>
void run_integer(const Shape& s, const void* packed, const void* scratch, const Epilogue& e, const Outputs& out,
                 const Share& share) {
  if (s.input == Number::i16) return run_values<LongTile, int16_t>(s, packed, scratch, e, out, share);
  run_values<typename Ops::IntegerTile, int8_t>(s, packed, scratch, e, out, share);
}

template <class Ops>
constexpr ConvKernel integer_kernel(const char* name) {
  return {name, Layout::dot4x4, accepts_integer, integer_scratch, padded_rows, prepare_integer, run_integer<Ops>};
}

}  // namespace
}  // namespace flipflow
