// The inner parts of the integer NEON kernels that need no more than ARMv8.0; neon_dot.cpp has its own.
#pragma once

#include <cstring>

#include "kernels/neon_common.h"

namespace flipflow {
namespace {

// The 4 values at `from`, four times.
FLIPFLOW_INLINE int8x16_t repeat_four(const int8_t* from) {
  int32_t four;
  std::memcpy(&four, from, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

// Tiles: acc[p][g] += the window of pixel p, at a + p * row, with the 4 channels of group g. The G groups' weights for fan-in values
// 4 * k and on are at w + k * stride + 16 * g.

// The tile of plain NEON: smull, smlal, sadalp. Two products share an int16 where no weight is -128.
struct WideningTile {
  static constexpr int kPixels = 2;  // at a time
  static constexpr bool kWantsSmall = true;

  template <int P, int G>
  static FLIPFLOW_INLINE void run(const int8_t* a, size_t row, const int8_t* w, size_t stride, size_t fours, bool small, int32x4_t acc[P][G]) {
    int32x4_t sums[P][G][2];
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) sums[p][g][0] = sums[p][g][1] = vdupq_n_s32(0);
    }
    size_t k = 0;
    for (; small && k + 2 <= fours; k += 2, w += 2 * stride) {
      int8x16_t act[P][2];
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
        act[p][0] = repeat_four(a + p * row + 4 * k);
        act[p][1] = repeat_four(a + p * row + 4 * k + 4);
        FLIPFLOW_SETTLE(act[p][0], act[p][1]);  // all 16 bytes, for smull2
      }
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
        const int8x16_t w0 = vld1q_s8(w + 16 * g), w1 = vld1q_s8(w + stride + 16 * g);
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
          const int16x8_t low = vmull_s8(vget_low_s8(w0), vget_low_s8(act[p][0])), high = vmull_high_s8(w0, act[p][0]);
          sums[p][g][0] = vpadalq_s16(sums[p][g][0], vmlal_s8(low, vget_low_s8(w1), vget_low_s8(act[p][1])));
          sums[p][g][1] = vpadalq_s16(sums[p][g][1], vmlal_high_s8(high, w1, act[p][1]));
        }
      }
    }
    for (; k < fours; ++k, w += stride) {
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
        int8x16_t act = repeat_four(a + p * row + 4 * k);
        FLIPFLOW_SETTLE_ONE(act);
        FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
          const int8x16_t weight = vld1q_s8(w + 16 * g);
          sums[p][g][0] = vpadalq_s16(sums[p][g][0], vmull_s8(vget_low_s8(weight), vget_low_s8(act)));
          sums[p][g][1] = vpadalq_s16(sums[p][g][1], vmull_high_s8(weight, act));
        }
      }
    }
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) acc[p][g] = vaddq_s32(acc[p][g], vpaddq_s32(sums[p][g][0], sums[p][g][1]));
    }
  }
};

// int16 inputs, for both instruction sets: smlal.
struct LongTile {
  static constexpr int kPixels = 4;
  static constexpr bool kWantsSmall = false;

  template <int P, int G>
  static FLIPFLOW_INLINE void run(const int16_t* a, size_t row, const int8_t* w, size_t stride, size_t fours, bool, int32x4_t acc[P][G]) {
    for (int g = 0; g < G; ++g, w += 16) {
      int32x4_t sums[P][4];
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) sums[p][0] = sums[p][1] = sums[p][2] = sums[p][3] = vdupq_n_s32(0);
      for (size_t k = 0; k < fours; ++k) {
        const int8x16_t weight = vld1q_s8(w + stride * k);
        const int16x8_t low = vmovl_s8(vget_low_s8(weight)), high = vmovl_high_s8(weight);
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
          const int16x4_t act = vld1_s16(a + p * row + 4 * k);
          sums[p][0] = vmlal_s16(sums[p][0], vget_low_s16(low), act);
          sums[p][1] = vmlal_s16(sums[p][1], vget_high_s16(low), act);
          sums[p][2] = vmlal_s16(sums[p][2], vget_low_s16(high), act);
          sums[p][3] = vmlal_s16(sums[p][3], vget_high_s16(high), act);
        }
      }
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
        const int32x4_t sum = vpaddq_s32(vpaddq_s32(sums[p][0], sums[p][1]), vpaddq_s32(sums[p][2], sums[p][3]));
        acc[p][g] = vaddq_s32(acc[p][g], sum);
      }
    }
  }
};

// Whether no weight is -128.
bool small_weights(const int8_t* w, size_t count) {
  int8x16_t least = vdupq_n_s8(0);
  for (size_t i = 0; i < count; i += 16) least = vminq_s8(least, vld1q_s8(w + i));
  return vminvq_s8(least) > -128;
}

}  // namespace
}  // namespace flipflow
