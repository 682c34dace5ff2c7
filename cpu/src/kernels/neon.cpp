// NEON of ARMv8.0: every AArch64 processor.
#include "kernels/neon_binary.h"
#include "kernels/neon_integer.h"

namespace flipflow {
namespace {

struct PlainOps {
  // total[i] += the 4 bytes of group i.
  static FLIPFLOW_INLINE uint32x4_t add_fours(uint32x4_t total, uint8x16_t bytes) {
    return vpadalq_u16(total, vpaddlq_u8(bytes));
  }
  using IntegerTile = WideningTile;
};

bool supported() { return true; }

}  // namespace

const Kernels neon_kernels = {
    "neon",
    supported,
    binary_kernel<PlainOps>("binary/neon"),
    integer_kernel<PlainOps>("integer/neon"),
    binary_limit,
};

}  // namespace flipflow
