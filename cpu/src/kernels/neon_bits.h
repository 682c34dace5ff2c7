// From comparisons to words of bits, as all NEON epilogues need it.
#pragma once

#include "kernels/kernels.h"
#include "kernels/neon_common.h"
#include "kernels/neon_window.h"

namespace flipflow {
namespace {

// The bit that each of 16 channels has in its byte.
FLIPFLOW_INLINE uint8x16_t bit_places() { return vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201)); }

// 64 channels, each a byte with its own bit or 0, as a word.
FLIPFLOW_INLINE uint64_t join_masks(const uint8x16_t masks[4]) {
  const uint8x16_t quarters = vpaddq_u8(vpaddq_u8(masks[0], masks[1]), vpaddq_u8(masks[2], masks[3]));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
}

// Writes word `word` of P pixels: bits[0] holds their lower 32 channels, 4 bytes a pixel, bits[1] the upper ones.
template <int P>
FLIPFLOW_INLINE void store_bits(const Shape& s, const Epilogue& e, const Outputs& out, const Tile& tile, int32_t word,
                                const uint8x16_t bits[2], uint64_t keep = ~uint64_t{0}) {
  const uint32x4_t first = vreinterpretq_u32_u8(bits[0]), second = vreinterpretq_u32_u8(bits[1]);
  uint64x2_t low = vreinterpretq_u64_u32(vzip1q_u32(first, second)), high = vreinterpretq_u64_u32(vzip2q_u32(first, second));
  if (keep != ~uint64_t{0}) {
    low = vandq_u64(low, vdupq_n_u64(keep));
    high = vandq_u64(high, vdupq_n_u64(keep));
  }
  const uint64x2_t invert = vdupq_n_u64(e.invert[word]);
  low = veorq_u64(low, invert);
  high = veorq_u64(high, invert);
  const size_t stride = s.out_words();
  uint64_t* to = out.bits + tile.pixel * stride + word;
  vst1q_lane_u64(to, low, 0);
  if (P > 1) vst1q_lane_u64(to + stride, low, 1);
  if (P > 2) vst1q_lane_u64(to + 2 * stride, high, 0);
  if (P > 3) vst1q_lane_u64(to + 3 * stride, high, 1);
}

}  // namespace
}  // namespace flipflow
