// Epilogues of the NEON kernels other than form fixed: one pixel's accumulators of one word of 64 channels.
#pragma once

#include "kernels/epilogue.h"
#include "kernels/neon_bits.h"

namespace flipflow {
namespace {

// base - 2 * count of a binary convolution; counts in the order of Layout::quads.
FLIPFLOW_INLINE void write_sums(const uint16_t* counts, const int32_t* base, int32_t* to) {
  FLIPFLOW_UNROLL for (int block = 0; block < 2; ++block, base += 32, to += 32) {
    const uint16x8x4_t count = vld4q_u16(counts + 32 * block);
    const uint16x8_t two = vdupq_n_u16(2);
    FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) {
      const uint32x4_t low = vreinterpretq_u32_s32(vld1q_s32(base + 8 * i)), high = vreinterpretq_u32_s32(vld1q_s32(base + 8 * i + 4));
      vst1q_s32(to + 8 * i, vreinterpretq_s32_u32(vmlsl_u16(low, vget_low_u16(count.val[i]), vget_low_u16(two))));
      vst1q_s32(to + 8 * i + 4, vreinterpretq_s32_u32(vmlsl_high_u16(high, count.val[i], two)));
    }
  }
}

// Bits of an integer convolution.
FLIPFLOW_INLINE uint64_t fired(const int32_t* acc, const int32_t* limit) {
  uint8x16_t masks[4];
  FLIPFLOW_UNROLL for (int i = 0; i < 4; ++i) {
    uint16x4_t narrow[4];
    FLIPFLOW_UNROLL for (int k = 0; k < 4; ++k) {
      narrow[k] = vmovn_u32(vcgeq_s32(vld1q_s32(acc + 16 * i + 4 * k), vld1q_s32(limit + 16 * i + 4 * k)));
    }
    const uint8x8_t low = vmovn_u16(vcombine_u16(narrow[0], narrow[1])), high = vmovn_u16(vcombine_u16(narrow[2], narrow[3]));
    masks[i] = vandq_u8(vcombine_u8(low, high), bit_places());
  }
  return join_masks(masks);
}

}  // namespace
}  // namespace flipflow
