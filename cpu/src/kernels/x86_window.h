// Binary convolutions of the x86 sets, on Layout::lanes: their windows. How the mismatches of a tile of pixels are counted is for
// x86_lanes.h (AVX-512) and x86_avx2_tile.h to say.
//
// Included by one source file for each instruction set; nothing here may have external linkage, because it is compiled for
// processors that the linker's choice of a shared copy would not respect. For the same reason no standard templates are used.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "kernels/kernels.h"

#define FLIPFLOW_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define FLIPFLOW_UNROLL _Pragma("clang loop unroll(full)")
#define FLIPFLOW_KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define FLIPFLOW_UNROLL _Pragma("GCC unroll 64")
#define FLIPFLOW_KEEP_LOOP _Pragma("GCC unroll 1")
#endif

namespace flipflow {
namespace {

constexpr int32_t kUnitBytes = 512;   // weights: 64 channels of one 64-bit word
constexpr int32_t kStoredBytes = 32;  // prepared map: one 64-bit word
constexpr int32_t kMaxUnits = 127;    // 64-bit words in one go: 16-bit lanes hold their counts

struct Window {
  int32_t columns, rows;  // of the padded map
  int32_t words, units;   // 64-bit words a pixel, and a window
  int64_t pixel_bytes, row_bytes;
};

FLIPFLOW_INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

FLIPFLOW_INLINE Window window_of(const Shape& s) {
  Window w;
  w.columns = (s.out_width - 1) * s.stride_width + s.kernel_width;
  w.rows = (s.out_height - 1) * s.stride_height + s.kernel_height;
  w.words = (s.in_channels + 63) / 64;
  w.units = s.kernel_height * s.kernel_width * w.words;
  w.pixel_bytes = static_cast<int64_t>(w.words) * kStoredBytes;
  w.row_bytes = w.pixel_bytes * w.columns;
  return w;
}

bool lanes_accepts(const Shape& s) { return s.input == Number::bits && s.weights == Number::bits; }
int32_t lanes_padded_rows(const Shape& s) { return window_of(s).rows; }

// Where the words first..first + count - 1 of a window lie, from its first byte.
void fill_offsets(const Shape& s, const Window& w, int32_t first, int32_t count, int64_t* offsets) {
  const int32_t row_units = s.kernel_width * w.words;
  int32_t ky = first / row_units, k = first % row_units;
  for (int32_t i = 0; i < count; ++i) {
    offsets[i] = ky * w.row_bytes + static_cast<int64_t>(k) * kStoredBytes;
    if (++k == row_units) k = 0, ++ky;
  }
}

}  // namespace
}  // namespace flipflow
