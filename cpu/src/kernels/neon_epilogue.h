// Epilogues of the NEON kernels: one pixel's accumulators of one word of 64 channels, 8 channels at a time.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/neon_common.h"

namespace flipflow {
namespace {

// How a block of 32 accumulators lies: channel after channel, or as Layout::quads computes them.
enum class Order { channels, quads };

// The 32 accumulators at `acc` as 8 vectors of 4 consecutive channels.
template <Order kOrder>
FLIPFLOW_INLINE void load_block(const int32_t* acc, int32x4_t v[8]) {
  if (kOrder == Order::quads) {
    const int32x4x4_t low = vld4q_s32(acc), high = vld4q_s32(acc + 16);
    FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) {
      v[2 * i] = low.val[i];
      v[2 * i + 1] = high.val[i];
    }
  } else {
    FLIPFLOW_UNROLL for (int i = 0; i < 8; ++i) v[i] = vld1q_s32(acc + 4 * i);
  }
}

// 8 comparison results as the bits of a byte.
FLIPFLOW_INLINE uint64_t mask_byte(uint32x4_t low, uint32x4_t high) {
  alignas(8) static const uint8_t kBit[8] = {1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x8_t mask = vmovn_u16(vcombine_u16(vmovn_u32(low), vmovn_u32(high)));
  return vaddv_u8(vand_u8(mask, vld1_u8(kBit)));
}

// 8 numbers of a map of i8, u8 or i16.
FLIPFLOW_INLINE void load_eight(const void* map, Number number, size_t index, int32x4_t v[2]) {
  int16x8_t wide;
  switch (number) {
    case Number::u8: wide = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(static_cast<const uint8_t*>(map) + index))); break;
    case Number::i8: wide = vmovl_s8(vld1_s8(static_cast<const int8_t*>(map) + index)); break;
    default: wide = vld1q_s16(static_cast<const int16_t*>(map) + index); break;
  }
  v[0] = vmovl_s16(vget_low_s16(wide));
  v[1] = vmovl_s16(vget_high_s16(wide));
}

FLIPFLOW_INLINE void store_eight(void* map, Number number, size_t index, const int32x4_t v[2]) {
  const int16x8_t wide = vcombine_s16(vmovn_s32(v[0]), vmovn_s32(v[1]));
  switch (number) {
    case Number::u8:
    case Number::i8: vst1_s8(static_cast<int8_t*>(map) + index, vmovn_s16(wide)); break;
    default: vst1q_s16(static_cast<int16_t*>(map) + index, wide); break;
  }
}

// Form fixed for the 8 channels from m on; `index` is the first one's place in the maps. Returns their bits.
FLIPFLOW_INLINE uint64_t finish_fixed(const Epilogue& e, const Outputs& out, const int32_t* bias, int32_t m, size_t index,
                                      const int32x4_t acc[2]) {
  int32x4_t value[2], residual[2];
  if (out.residual != nullptr) load_eight(out.residual, e.fixed, index, residual);
  FLIPFLOW_UNROLL for (int h = 0; h < 2; ++h) {
    value[h] = vmlaq_s32(vld1q_s32(bias + m + 4 * h), vld1q_s32(e.slope + m + 4 * h), acc[h]);
    value[h] = vshlq_s32(value[h], vnegq_s32(vld1q_s32(e.shift + m + 4 * h)));
    value[h] = vmaxq_s32(vminq_s32(value[h], vdupq_n_s32(e.q_max)), vdupq_n_s32(e.q_min));
    if (out.residual == nullptr) continue;
    value[h] = vaddq_s32(value[h], residual[h]);
    value[h] = vmaxq_s32(vminq_s32(value[h], vdupq_n_s32(e.r_max)), vdupq_n_s32(e.r_min));
  }
  if (out.fixed != nullptr) store_eight(out.fixed, e.fixed, index, value);
  if (out.bits == nullptr) return 0;
  return mask_byte(vcgeq_s32(value[0], vld1q_s32(e.fire + m)), vcgeq_s32(value[1], vld1q_s32(e.fire + m + 4)));
}

// All 64 channels of one word of one pixel; kBelow as in finish_word. `pixel` counts in raster order.
template <Order kOrder, bool kBelow>
void finish_full_word(const Shape& s, const Epilogue& e, const Outputs& out, size_t pixel, int32_t class_offset, int32_t word,
                      const int32_t* acc) {
  uint64_t bits = 0;
  for (int block = 0; block < 2; ++block) {
    int32x4_t v[8];
    load_block<kOrder>(acc + 32 * block, v);
    const int32_t m = word * 64 + 32 * block;
    const size_t index = pixel * s.out_channels + m;
    if (e.form == Form::sums) {
      FLIPFLOW_UNROLL for (int i = 0; i < 8; ++i) {
        if (kBelow) v[i] = vmlsq_s32(vld1q_s32(e.base + class_offset + m + 4 * i), v[i], vdupq_n_s32(2));
        vst1q_s32(out.sums + index + 4 * i, v[i]);
      }
    } else if (e.form == Form::bits) {
      FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) {
        const int32_t* limit = e.limit + class_offset + m + 8 * i;
        const int32x4_t low = vld1q_s32(limit), high = vld1q_s32(limit + 4);
        bits |= (kBelow ? mask_byte(vcleq_s32(v[2 * i], low), vcleq_s32(v[2 * i + 1], high))
                        : mask_byte(vcgeq_s32(v[2 * i], low), vcgeq_s32(v[2 * i + 1], high)))
                << (32 * block + 8 * i);
      }
    } else {
      for (int i = 0; i < 4; ++i) {
        bits |= finish_fixed(e, out, e.bias + class_offset, m + 8 * i, index + 8 * i, v + 2 * i) << (32 * block + 8 * i);
      }
    }
  }
  if (e.form != Form::sums && out.bits != nullptr) out.bits[pixel * s.out_words() + word] = bits ^ e.invert[word];
}

}  // namespace
}  // namespace flipflow
