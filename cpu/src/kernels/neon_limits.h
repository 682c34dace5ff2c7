// Limits of one word of 64 channels in the order in which the binary NEON kernels compute them, made once for each border class.
#pragma once

#include <algorithm>

#include "kernels/kernels.h"
#include "kernels/neon_common.h"

namespace flipflow {
namespace {

class LimitTable {
 public:
  // For the channels from word * 64 on, all of which must exist.
  LimitTable(const Shape& s, const Epilogue& e, int32_t word)
      : limit_(e.limit + static_cast<size_t>(word) * 64), padded_(s.padded_channels()), row_class_(e.row_class),
        column_class_(e.column_class) {
    const int32_t last = *std::max_element(row_class_, row_class_ + s.out_height) +
                         *std::max_element(column_class_, column_class_ + s.out_width);
    few_ = last < kKept;
    for (int32_t index = 0; few_ && index <= last; ++index) fill(limit_ + static_cast<size_t>(index) * padded_, kept_[index]);
  }

  // -1 - limit of each channel of the class of pixel (y, x), so that the sign of acc + it says whether the bit fires. `p`: the
  // pixel's place in its tile; the result is good until the same place is asked for again.
  FLIPFLOW_INLINE const int32_t* get(int32_t y, int32_t x, int p) {
    const int32_t index = row_class_[y] + column_class_[x];
    if (__builtin_expect(few_, true)) return kept_[index];
    fill(limit_ + static_cast<size_t>(index) * padded_, spare_[p]);
    return spare_[p];
  }

 private:
  static constexpr int32_t kKept = 49;  // classes of a 7x7 kernel

  __attribute__((noinline)) static void fill(const int32_t* from, int32_t* to) {
    const int32x4_t never = vdupq_n_s32(-1), always = vdupq_n_s32(1 << 30);
    for (int block = 0; block < 2; ++block) {
      for (int half = 0; half < 2; ++half) {
        int32x4x4_t v;
        for (int lane = 0; lane < 4; ++lane) {
          const int32x4_t limit = vld1q_s32(from + 32 * block + 8 * lane + 4 * half);
          v.val[lane] = vmvnq_s32(vminq_s32(vmaxq_s32(limit, never), always));
        }
        vst4q_s32(to + 32 * block + 16 * half, v);
      }
    }
  }

  const int32_t* limit_;
  int32_t padded_;
  const int32_t *row_class_, *column_class_;
  bool few_;  // all classes are kept
  alignas(64) int32_t kept_[kKept][64];
  alignas(64) int32_t spare_[4][64];
};

}  // namespace
}  // namespace flipflow
