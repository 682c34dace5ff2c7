// Form fixed of the NEON kernels: one word of 64 channels of the pixels of a tile.
//
// Accumulators come as uint16 counts in the order of Layout::quads (binary convolutions) or as int32 in the order of the channels
// (integer ones). Values are shifted and narrowed to int16 with saturation, which changes nothing as q_min and q_max fit int16; what
// follows is done in int16, and in int8 where a network's usual case allows: int8 residuals, full ranges, one shift for all channels.
#pragma once

#include <algorithm>

#include "kernels/neon_bits.h"
#include "kernels/neon_window.h"

namespace flipflow {
namespace {

// The constants of one word, narrowed.
struct FixedWord {
  const Shape& s;
  const Epilogue& e;
  const Outputs& out;
  int32_t word;
  int shift;            // of all channels if it is 1..16 and slopes fit int16, else 0
  uint64_t reachable;   // channels whose threshold some r can reach
  alignas(64) int16_t slope[64];
  alignas(64) int32_t left[64];  // minus the shift
  alignas(64) int16_t fire[64];  // clamped to int16
  alignas(64) int8_t fire8[64];  // clamped to int8

  FixedWord(const Shape& shape, const Epilogue& epilogue, const Outputs& outputs, int32_t number)
      : s(shape), e(epilogue), out(outputs), word(number), shift(e.shift[number * 64]), reachable(0) {
    bool narrow = shift >= 1 && shift <= 16;
    const bool bytes = e.fixed == Number::i8;
    for (int i = 0; i < 64; ++i) {
      const int32_t m = word * 64 + i;
      narrow = narrow && e.shift[m] == shift && e.slope[m] == static_cast<int16_t>(e.slope[m]);
      slope[i] = static_cast<int16_t>(e.slope[m]);
      left[i] = -e.shift[m];
      if (out.bits == nullptr) continue;
      fire[i] = static_cast<int16_t>(std::clamp(e.fire[m], -32768, 32767));
      fire8[i] = static_cast<int8_t>(std::clamp(e.fire[m], -128, 127));
      if (e.fire[m] <= (bytes ? 127 : 32767)) reachable |= uint64_t{1} << i;
    }
    if (!narrow) shift = 0;
  }

  // Whether residual_bytes() does it, for counts of at most `most`.
  bool plain_bytes(int64_t most) const {
    const bool full = e.q_min == -128 && e.q_max == 127 && e.r_min == -128 && e.r_max == 127;
    return shift != 0 && most <= 32767 && full && e.fixed == Number::i8 && out.residual != nullptr && out.fixed != nullptr &&
           out.bits != nullptr;
  }
};

template <int kShift>
FLIPFLOW_INLINE int16x8_t eight_values(const int32_t* bias, int16x8_t slope, uint16x8_t count) {
  const int16x8_t acc = vreinterpretq_s16_u16(count);
  const int32x4_t low = vmlal_s16(vld1q_s32(bias), vget_low_s16(acc), vget_low_s16(slope));
  const int32x4_t high = vmlal_high_s16(vld1q_s32(bias + 4), acc, slope);
  return vcombine_s16(vqshrn_n_s32(low, kShift), vqshrn_n_s32(high, kShift));
}

// int8 with a residual, kept and turned into bits; saturation does all clamping.
template <int kShift, int P>
__attribute__((noinline)) void residual_bytes(const FixedWord& f, const Tile& tile, const uint16_t* counts) {
  const size_t channels = f.s.out_channels, first = tile.pixel * channels + static_cast<size_t>(f.word) * 64;
  const int8_t* from = static_cast<const int8_t*>(f.out.residual) + first;
  int8_t* to = static_cast<int8_t*>(f.out.fixed) + first;
  const int32_t* bias[P];
  FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) bias[p] = f.e.bias + class_offset(f.s, f.e, tile, p) + f.word * 64;
  const uint8x16_t places = bit_places();
  uint8x16_t bits[2];
  FLIPFLOW_UNROLL for (int block = 0; block < 2; ++block) {
    int16x8_t slope[4];
    FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) slope[i] = vld1q_s16(f.slope + 32 * block + 8 * i);
    const int8x16_t fire0 = vld1q_s8(f.fire8 + 32 * block), fire1 = vld1q_s8(f.fire8 + 32 * block + 16);
    uint8x16_t masks[P];
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
      const uint16x8x4_t count = vld4q_u16(counts + 64 * p + 32 * block);
      int16x8_t value[4];
      FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) value[i] = eight_values<kShift>(bias[p] + 32 * block + 8 * i, slope[i], count.val[i]);
      const size_t at = p * channels + 32 * block;
      const int8x16_t before0 = vld1q_s8(from + at), before1 = vld1q_s8(from + at + 16);
      const int8x16_t after0 = vqaddq_s8(before0, vqmovn_high_s16(vqmovn_s16(value[0]), value[1]));
      const int8x16_t after1 = vqaddq_s8(before1, vqmovn_high_s16(vqmovn_s16(value[2]), value[3]));
      vst1q_s8(to + at, after0);
      vst1q_s8(to + at + 16, after1);
      masks[p] = vpaddq_u8(vandq_u8(vcgeq_s8(after0, fire0), places), vandq_u8(vcgeq_s8(after1, fire1), places));
    }
    bits[block] = vpaddq_u8(vpaddq_u8(masks[0], masks[1 % P]), vpaddq_u8(masks[2 % P], masks[3 % P]));
  }
  store_bits<P>(f.s, f.e, f.out, tile, f.word, bits, f.reachable);
}

using ResidualBytes = void (*)(const FixedWord&, const Tile&, const uint16_t*);

// Of 4 pixels, for the shifts 1 to 16.
constexpr ResidualBytes kResidualBytes[16] = {
    residual_bytes<1, 4>,  residual_bytes<2, 4>,  residual_bytes<3, 4>,  residual_bytes<4, 4>,
    residual_bytes<5, 4>,  residual_bytes<6, 4>,  residual_bytes<7, 4>,  residual_bytes<8, 4>,
    residual_bytes<9, 4>,  residual_bytes<10, 4>, residual_bytes<11, 4>, residual_bytes<12, 4>,
    residual_bytes<13, 4>, residual_bytes<14, 4>, residual_bytes<15, 4>, residual_bytes<16, 4>,
};

// 32 accumulators, channel after channel.
FLIPFLOW_INLINE void load_accumulators(const uint16_t* from, int32x4_t acc[8]) {
  const uint16x8x4_t count = vld4q_u16(from);
  FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) {
    acc[2 * i] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(count.val[i])));
    acc[2 * i + 1] = vreinterpretq_s32_u32(vmovl_high_u16(count.val[i]));
  }
}

FLIPFLOW_INLINE void load_accumulators(const int32_t* from, int32x4_t acc[8]) {
  FLIPFLOW_UNROLL for (int i = 0; i < 8; ++i) acc[i] = vld1q_s32(from + 4 * i);
}

// 16 numbers of a map of i8, u8 or i16.
FLIPFLOW_INLINE void load_sixteen(const void* map, Number number, size_t index, int16x8_t v[2]) {
  if (number == Number::i16) {
    v[0] = vld1q_s16(static_cast<const int16_t*>(map) + index);
    v[1] = vld1q_s16(static_cast<const int16_t*>(map) + index + 8);
  } else if (number == Number::i8) {
    const int8x16_t bytes = vld1q_s8(static_cast<const int8_t*>(map) + index);
    v[0] = vmovl_s8(vget_low_s8(bytes));
    v[1] = vmovl_high_s8(bytes);
  } else {
    const uint8x16_t bytes = vld1q_u8(static_cast<const uint8_t*>(map) + index);
    v[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes)));
    v[1] = vreinterpretq_s16_u16(vmovl_high_u8(bytes));
  }
}

FLIPFLOW_INLINE void store_sixteen(void* map, Number number, size_t index, const int16x8_t v[2]) {
  if (number == Number::i16) {
    vst1q_s16(static_cast<int16_t*>(map) + index, v[0]);
    vst1q_s16(static_cast<int16_t*>(map) + index + 8, v[1]);
  } else {
    vst1q_s8(static_cast<int8_t*>(map) + index, vmovn_high_s16(vmovn_s16(v[0]), v[1]));
  }
}

// Everything else, for one pixel.
template <class Acc>
__attribute__((noinline)) void finish_fixed(const FixedWord& f, size_t pixel, int32_t class_offset, const Acc* accumulators) {
  const Epilogue& e = f.e;
  const int32_t *bias = e.bias + class_offset + f.word * 64, *slope = e.slope + f.word * 64;
  const void* const residual = f.out.residual;
  void* const fixed = f.out.fixed;
  const Number number = e.fixed;
  const int16x8_t q_min = vdupq_n_s16(static_cast<int16_t>(e.q_min)), q_max = vdupq_n_s16(static_cast<int16_t>(e.q_max));
  const int16x8_t r_min = vdupq_n_s16(static_cast<int16_t>(e.r_min)), r_max = vdupq_n_s16(static_cast<int16_t>(e.r_max));
  size_t index = pixel * f.s.out_channels + static_cast<size_t>(f.word) * 64;
  uint8x16_t masks[4];
  FLIPFLOW_UNROLL for (int block = 0; block < 2; ++block) {
    int32x4_t acc[8];
    load_accumulators(accumulators + 32 * block, acc);
    FLIPFLOW_UNROLL for (int half = 0; half < 2; ++half, index += 16) {
      const int m = 32 * block + 16 * half;
      int32x4_t wide[4];
      FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) {
        wide[i] = vmlaq_s32(vld1q_s32(bias + m + 4 * i), vld1q_s32(slope + m + 4 * i), acc[4 * half + i]);
        wide[i] = vshlq_s32(wide[i], vld1q_s32(f.left + m + 4 * i));
      }
      int16x8_t value[2], before[2];
      if (residual != nullptr) load_sixteen(residual, number, index, before);
      FLIPFLOW_UNROLL for (int i = 0; i < 2; ++i) {
        value[i] = vqmovn_high_s32(vqmovn_s32(wide[2 * i]), wide[2 * i + 1]);
        value[i] = vmaxq_s16(vminq_s16(value[i], q_max), q_min);
        if (residual != nullptr) value[i] = vmaxq_s16(vminq_s16(vqaddq_s16(value[i], before[i]), r_max), r_min);
      }
      if (fixed != nullptr) store_sixteen(fixed, number, index, value);
      const uint16x8_t low = vcgeq_s16(value[0], vld1q_s16(f.fire + m)), high = vcgeq_s16(value[1], vld1q_s16(f.fire + m + 8));
      masks[2 * block + half] = vandq_u8(vmovn_high_u16(vmovn_u16(low), high), bit_places());
    }
  }
  if (f.out.bits == nullptr) return;
  const uint64_t bits = join_masks(masks) & f.reachable;
  f.out.bits[pixel * f.s.out_words() + f.word] = bits ^ e.invert[f.word];
}

}  // namespace
}  // namespace flipflow
