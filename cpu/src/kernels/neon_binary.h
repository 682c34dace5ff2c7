// Binary convolution with NEON, for each file that includes it with its own Ops.
//
// Scratch is the padded map, words as in the input. A tile of 4 pixels copies its windows to a buffer on the stack, in the order in
// which neon_binary_tile.h reads them, and then meets all quads of a word of 64 channels: 1/64 of an instruction for a step.
// Fan-ins of more than kMaxWords words are not accepted.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/neon_binary_tile.h"
#include "kernels/neon_epilogue.h"
#include "kernels/neon_fixed.h"
#include "kernels/neon_limits.h"
#include "kernels/neon_window.h"

namespace flipflow {
namespace {

constexpr int32_t kMaxWords = 1023;  // 8 KiB a pixel, and counts that fit uint16

// g++ 12 runs out of registers where it knows that 128 channels are one chunk.
#if defined(__clang__)
constexpr bool kClang = true;
#else
constexpr bool kClang = false;
#endif

int64_t fan_in_words(const Shape& s) { return static_cast<int64_t>(s.taps()) * s.in_words(); }

bool accepts_binary(const Shape& s) { return fan_in_words(s) <= kMaxWords; }

size_t binary_scratch(const Shape& s) {
  return static_cast<size_t>(padded_rows(s)) * padded_columns(s) * s.in_words() * sizeof(uint64_t);
}

void fill_border(const Shape& s, uint64_t* to, int32_t pixels) {
  const int32_t words = s.in_words(), used = s.in_channels % 64;
  const uint64_t fill = s.border == Border::ones ? ~uint64_t{0} : uint64_t{0};
  std::fill(to, to + static_cast<size_t>(pixels) * words, fill);
  if (used == 0) return;
  for (int32_t i = 1; i <= pixels; ++i) to[static_cast<size_t>(i) * words - 1] = fill & ((uint64_t{1} << used) - 1);
}

void prepare_binary(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const int32_t words = s.in_words(), columns = padded_columns(s);
  const int32_t inside = std::max(0, std::min(s.in_width, columns - s.pad_left));
  const int32_t right = std::max(0, columns - s.pad_left - inside), left = columns - inside - right;
  auto* to = static_cast<uint64_t*>(scratch) + static_cast<size_t>(begin) * columns * words;
  for (int32_t row = begin; row < end; ++row, to += static_cast<size_t>(columns) * words) {
    const int32_t y = row - s.pad_top;
    if (y < 0 || y >= s.in_height) {
      fill_border(s, to, columns);
      continue;
    }
    const auto* from = static_cast<const uint64_t*>(input) + static_cast<size_t>(y) * s.in_width * words;
    fill_border(s, to, left);
    std::memcpy(to + static_cast<size_t>(left) * words, from, static_cast<size_t>(inside) * words * sizeof(uint64_t));
    fill_border(s, to + static_cast<size_t>(left + inside) * words, right);
  }
}

// One word of 64 output channels, or fewer at the end, over rows of pixels.
template <class Ops, int kSteps, bool kOdd>
class BinaryWord {
 public:
  BinaryWord(const Shape& s, const void* packed, const void* scratch, const Epilogue& e, const Outputs& out, int32_t word)
      : s_(s), e_(e), out_(out), word_(word), steps_(static_cast<int>(fan_in_words(s) / 2)),
        row_words_(s.kernel_width * s.in_words()), map_(static_cast<const uint64_t*>(scratch)),
        row_stride_(static_cast<size_t>(padded_columns(s)) * s.in_words()),
        count_(std::min(64, s.out_channels - word * 64)), fused_(e.form == Form::bits && count_ == 64) {
    if (fused_) limits_.emplace(s, e, word);
    if (e.form == Form::fixed && count_ == 64) {
      fixed_.emplace(s, e, out, word);
      if (fixed_->plain_bytes(fan_in_words(s) * 64)) residual_bytes_ = kResidualBytes[fixed_->shift - 1];
    }
    quad_bytes_ = static_cast<size_t>(fan_in_words(s)) * 4 * sizeof(uint64_t);
    weights_ = static_cast<const uint8_t*>(packed) + word * 16 * quad_bytes_;
  }

  // Tiles of fewer than 4 pixels are few: they take the general loop.
  template <int P>
  void run(const Tile& tile) {
    gather<P>(tile);
    if (fused_) {
      write_bits<P>(tile);
    } else {
      write_others<P>(tile);
    }
  }

 private:
  template <int P>
  FLIPFLOW_INLINE void gather(const Tile& tile) {
    const size_t pixel_words = s_.in_words(), stride = row_stride_;  // copies: the stores below cannot change them
    const uint64_t* from[P];
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) from[p] = map_ + tile.window[p] * pixel_words;
    if (P == 4 && kSteps == 4 && kOdd && row_words_ == 3) {
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) gather_three_rows<P>(from[p], stride, acts_ + 2 * p);
    } else if (row_words_ % 2 == 0) {
      gather_pairs<P>(from, stride, row_words_, s_.kernel_height, acts_);
    } else {
      for (int p = 0; p < P; ++p) gather_words<P>(from[p], stride, acts_ + 2 * p);
    }
  }

  // 3 rows of 3 words: a 3x3 kernel on 64 channels.
  template <int P>
  static FLIPFLOW_INLINE void gather_three_rows(const uint64_t* row0, size_t stride, uint64_t* to) {
    const uint64_t *row1 = row0 + stride, *row2 = row1 + stride;
    vst1q_u64(to, vld1q_u64(row0));
    vst1q_u64(to + 2 * P, vcombine_u64(vld1_u64(row0 + 2), vld1_u64(row1)));
    vst1q_u64(to + 4 * P, vld1q_u64(row1 + 1));
    vst1q_u64(to + 6 * P, vld1q_u64(row2));
    vst1q_u64(to + 8 * P, vld1q_dup_u64(row2 + 2));
  }

  template <int P>
  static FLIPFLOW_INLINE void gather_pairs(const uint64_t* from[P], size_t stride, int32_t row_words, int32_t rows, uint64_t* to) {
    for (int32_t ky = 0; ky < rows; ++ky) {
      for (int32_t k = 0; k < row_words; k += 2, to += 2 * P) {
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) vst1q_u64(to + 2 * p, vld1q_u64(from[p] + k));
      }
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) from[p] += stride;
    }
  }

  template <int P>
  __attribute__((noinline)) void gather_words(const uint64_t* from, size_t stride, uint64_t* to) const {
    int k = 0;
    for (int32_t ky = 0; ky < s_.kernel_height; ++ky, from += stride) {
      for (int32_t i = 0; i < row_words_; ++i, ++k) to[k / 2 * 2 * P + k % 2] = from[i];
    }
    if (kOdd) to[k / 2 * 2 * P + 1] = to[k / 2 * 2 * P];
  }

  template <int P, class Total>
  FLIPFLOW_INLINE void one_quad(const uint8_t* a, const uint8_t* w, Total total[P]) const {
    if (P == 4) {
      quad<Ops, P, kSteps, kOdd>(kSteps == 4 || (kSteps == 9 && kClang) ? kSteps : steps_, a, w, total);
    } else {
      quad<Ops, P, 0, kOdd>(steps_, a, w, total);
    }
  }

  // Signs of the totals, shifted in bit by bit: see layouts/quads.cpp. Bytes of lane i end as channels 8 * i .. 8 * i + 7.
  template <int P>
  __attribute__((noinline)) void write_bits(const Tile& tile) {
    const int32_t* limits[P];
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) limits[p] = limits_->get(tile.y[p], tile.x[p], p);
    const size_t quad_bytes = quad_bytes_;
    uint8x16_t bits[2];
    const uint8_t *a = opaque(acts_), *w = weights_;
    for (int block = 0; block < 2; ++block) {
      uint8x16_t shifted = vdupq_n_u8(0);
      for (int j = 8 * block; j < 8 * block + 8; ++j, w += quad_bytes) {
        uint32x4_t total[4];
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) total[p] = vreinterpretq_u32_s32(vld1q_s32(limits[p] + 4 * j));
        one_quad<P>(a, w, total);
        FLIPFLOW_UNROLL for (int p = P; p < 4; ++p) total[p] = total[0];
        const uint16x8_t low = vuzp2q_u16(vreinterpretq_u16_u32(total[0]), vreinterpretq_u16_u32(total[1]));
        const uint16x8_t high = vuzp2q_u16(vreinterpretq_u16_u32(total[2]), vreinterpretq_u16_u32(total[3]));
        const uint8x16_t signs = vuzp2q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
        shifted = vsriq_n_u8(signs, shifted, 1);
      }
      bits[block] = shifted;
    }
    store_bits<P>(s_, e_, out_, tile, word_, bits);
  }

  // Forms sums and fixed, and words of fewer than 64 channels.
  template <int P>
  __attribute__((noinline)) void write_others(const Tile& tile) {
    alignas(64) uint16_t counts[P][64];
    count_mismatches<P>(counts[0]);
    if (P == 4 && residual_bytes_ != nullptr) return residual_bytes_(*fixed_, tile, counts[0]);
    for (int p = 0; p < P; ++p) {
      const int32_t offset = class_offset(s_, e_, tile, p);
      if (count_ < 64) {
        finish_part(tile.y[p], tile.x[p], counts[p]);
      } else if (fixed_) {
        finish_fixed(*fixed_, tile.pixel + p, offset, counts[p]);
      } else {
        write_sums(counts[p], e_.base + offset + word_ * 64, out_.sums + (tile.pixel + p) * s_.out_channels + word_ * 64);
      }
    }
  }

  // counts[p][4 * quad + lane]
  template <int P>
  FLIPFLOW_INLINE void count_mismatches(uint16_t* counts) const {
    const size_t quad_bytes = quad_bytes_;
    const uint8_t *a = opaque(acts_), *w = weights_;
    for (uint16_t* const end = counts + (count_ + 3) / 4 * 4; counts != end; counts += 4, w += quad_bytes) {
      uint16x8_t total[P];
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) total[p] = vdupq_n_u16(0);
      one_quad<P>(a, w, total);
      FLIPFLOW_UNROLL for (int p = 0; p < P; p += 2) {
        const uint64x2_t both = vreinterpretq_u64_u16(vpaddq_u16(total[p], total[p + 1 < P ? p + 1 : p]));
        vst1_u16(counts + 64 * p, vreinterpret_u16_u64(vget_low_u64(both)));
        if (p + 1 < P) vst1q_lane_u64(reinterpret_cast<uint64_t*>(counts + 64 * p + 64), both, 1);
      }
    }
  }

  void finish_part(int32_t y, int32_t x, const uint16_t* counts) const {
    int32_t ordered[64];
    for (int32_t m = 0; m < count_; ++m) {
      const int32_t block = m / 32 * 32, quads = (std::min(32, count_ - block) + 3) / 4;
      ordered[m] = counts[block + (m - block) % quads * 4 + (m - block) / quads];
    }
    finish_word(s_, e_, out_, true, y, x, word_, ordered);
  }

  const Shape& s_;
  const Epilogue& e_;
  const Outputs& out_;
  const int32_t word_;
  const int steps_;
  const int32_t row_words_;
  const uint64_t* const map_;
  const size_t row_stride_;
  const int32_t count_;
  const bool fused_;
  const uint8_t* weights_;
  size_t quad_bytes_;
  std::optional<LimitTable> limits_;  // where fused_
  std::optional<FixedWord> fixed_;    // form fixed of full words
  ResidualBytes residual_bytes_ = nullptr;
  alignas(64) uint64_t acts_[4 * (kMaxWords + 1)];
};

template <class Ops, int kSteps, bool kOdd>
void run_words(const Shape& s, const void* packed, const void* scratch, const Epilogue& e, const Outputs& out,
               const Share& share) {
  for (int32_t m = share.channel_begin; m < share.channel_end; m += 64) {
    BinaryWord<Ops, kSteps, kOdd> word(s, packed, scratch, e, out, m / 64);
    for_each_tile(s, share.row_begin, share.row_end, word);
  }
}

// Fan-ins of 3x3 kernels on 64, 128 and multiples of 256 channels have their own loops.
template <class Ops>
void run_binary(const Shape& s, const void* packed, const void* scratch, const Epilogue& e, const Outputs& out,
                const Share& share) {
  const int64_t words = fan_in_words(s);
  if (words == 9) return run_words<Ops, 4, true>(s, packed, scratch, e, out, share);
  if (words == 18) return run_words<Ops, 9, false>(s, packed, scratch, e, out, share);
  if (words % 36 == 0) return run_words<Ops, 18, false>(s, packed, scratch, e, out, share);
  if (words % 2 != 0) return run_words<Ops, 0, true>(s, packed, scratch, e, out, share);
  run_words<Ops, 0, false>(s, packed, scratch, e, out, share);
}

template <class Ops>
constexpr ConvKernel binary_kernel(const char* name) {
  return {name, Layout::quads, accepts_binary, binary_scratch, padded_rows, prepare_binary, run_binary<Ops>};
}

// The inner loop's operations on 16 pairs of a pixel and a channel, without its loads.
double binary_limit(int64_t rounds) {
  uint8x16_t act[4], weight[4], acc[4][4];
  for (int i = 0; i < 4; ++i) {
    act[i] = vdupq_n_u8(static_cast<uint8_t>(37 * i + 11));
    weight[i] = vdupq_n_u8(static_cast<uint8_t>(91 * i + 5));
    for (int c = 0; c < 4; ++c) acc[i][c] = vdupq_n_u8(0);
  }
  for (int64_t round = 0; round < rounds; ++round) {
    FLIPFLOW_UNROLL for (int p = 0; p < 4; ++p) {
      asm volatile("" : "+" FLIPFLOW_VECTOR_CONSTRAINT(act[p]));
      FLIPFLOW_UNROLL for (int c = 0; c < 4; ++c) acc[p][c] = vaddq_u8(acc[p][c], mismatches(act[p], weight[c]));
    }
  }
  FLIPFLOW_UNROLL for (int p = 0; p < 4; ++p) {
    FLIPFLOW_UNROLL for (int c = 0; c < 4; ++c) asm volatile("" : "+" FLIPFLOW_VECTOR_CONSTRAINT(acc[p][c]));
  }
  return static_cast<double>(rounds) * 16 * 128;
}

}  // namespace
}  // namespace flipflow
