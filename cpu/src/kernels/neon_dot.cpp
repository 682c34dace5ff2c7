// NEON with dot products (ARMv8.2 +dotprod: Cortex-A55, A76, Neoverse, Apple M1 and what came after them).
// To be compiled with -march=armv8.2-a+dotprod.
#include "kernels/neon_binary.h"
#include "kernels/neon_integer.h"

#if defined(__linux__) && defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace flipflow {
namespace {

struct DotOps {
  static FLIPFLOW_INLINE uint32x4_t add_fours(uint32x4_t total, uint8x16_t bytes) {
    return vdotq_u32(total, bytes, vdupq_n_u8(1));
  }

  // 4 pixels or fewer with G groups of 4 channels, 16 fan-in values at a time by elements of the activations.
  struct IntegerTile {
    template <int P, int G>
    static FLIPFLOW_INLINE void run(const int8_t* a, size_t row, const int8_t* w, size_t group, size_t fours, int32x4_t acc[P][G]) {
      size_t k = 0;
      for (; k + 4 <= fours; k += 4) {
        int8x16_t act[P];
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) act[p] = vld1q_s8(a + p * row + 4 * k);
        FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
          const int8_t* from = w + g * group + 16 * k;
          const int8x16_t w0 = vld1q_s8(from), w1 = vld1q_s8(from + 16), w2 = vld1q_s8(from + 32), w3 = vld1q_s8(from + 48);
          FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) acc[p][g] = vdotq_laneq_s32(acc[p][g], w0, act[p], 0);
          FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) acc[p][g] = vdotq_laneq_s32(acc[p][g], w1, act[p], 1);
          FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) acc[p][g] = vdotq_laneq_s32(acc[p][g], w2, act[p], 2);
          FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) acc[p][g] = vdotq_laneq_s32(acc[p][g], w3, act[p], 3);
        }
      }
      for (; k < fours; ++k) {
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
          const int8x16_t act = repeat_four(a + p * row + 4 * k);
          FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
            acc[p][g] = vdotq_s32(acc[p][g], vld1q_s8(w + g * group + 16 * k), act);
          }
        }
      }
    }
  };
};

bool supported() {
#if defined(__linux__) && defined(__aarch64__)
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & kDotProduct) != 0;
#else
  return true;  // Apple: every AArch64 Mac has it
#endif
}

}  // namespace

const Kernels neon_dot_kernels = {
    "neon_dot",
    supported,
    binary_kernel<DotOps>("binary/neon_dot"),
    integer_kernel<DotOps>("integer/neon_dot"),
    binary_limit,
};

}  // namespace flipflow
