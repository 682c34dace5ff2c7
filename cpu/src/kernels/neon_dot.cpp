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
    static constexpr int kPixels = 4;
    static constexpr bool kWantsSmall = false;

    template <int P, int G>
    static FLIPFLOW_INLINE void run(const int8_t* a, size_t row, const int8_t* w, size_t stride, size_t fours, bool, int32x4_t acc[P][G]) {
      const int8_t* from[P];
      FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) from[p] = a + p * row;
      size_t k = 0;
      for (; k + 4 <= fours; k += 4, w += 4 * stride) {
        int8x16_t act[P];
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
          act[p] = vld1q_s8(from[p]);
          from[p] += 16;
        }
        dots<P, G, 0>(act, w, acc);
        dots<P, G, 1>(act, w + stride, acc);
        dots<P, G, 2>(act, w + 2 * stride, acc);
        dots<P, G, 3>(act, w + 3 * stride, acc);
      }
      for (; k < fours; ++k, w += stride) {
        int8x16_t act[P];
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) act[p] = repeat_four(a + p * row + 4 * k);
        dots<P, G, 0>(act, w, acc);
      }
    }

    // With element kLane of the activations.
    template <int P, int G, int kLane>
    static FLIPFLOW_INLINE void dots(const int8x16_t act[P], const int8_t* w, int32x4_t acc[P][G]) {
      int8x16_t weight[G];
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) weight[g] = vld1q_s8(w + 16 * g);
      FLIPFLOW_UNROLL for (int g = 0; g < G; ++g) {
        FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) acc[p][g] = vdotq_laneq_s32(acc[p][g], weight[g], act[p], kLane);
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
