// The operators between convolutions, in plain C++ that compilers vectorise. Each works on rows [begin, end) of its output, so that
// threads may share a map; none allocates. Constants are one for each channel, expanded by the engine; `invert` words may not be null.
// Maps are as in kernels.h; reading and writing the same place is allowed where the plan's loader allows it.
#pragma once

#include "kernels/kernels.h"

namespace flipflow {

// One input map and the size it has.
struct View {
  const void* data;
  Number number;
  int32_t height, width, channels;

  int32_t words() const { return (channels + 63) / 64; }
};

// A pooling window; taps outside the map take no part.
struct Window {
  int32_t kernel_height, kernel_width, stride_height, stride_width, pad_top, pad_left;
  int32_t out_height, out_width;
};

// bit = (v >= threshold[c]) XOR invert. The thresholds are of the input's own number type, so that a loop compares as many as fit in a
// register; `reachable` has a 0 bit for each channel whose threshold is beyond that type, which no value reaches.
struct Fires {
  const void* threshold;  // [channels rounded up to 64]
  const uint64_t* reachable;
  const uint64_t* invert;
};
void threshold_bits(const View& in, const Fires& fires, uint64_t* out, int32_t begin, int32_t end);

// minimum + number of levels that v reaches, or maximum - number where inverted; levels: [channels][maximum - minimum], rising.
struct Steps {
  const int32_t* levels;
  const uint64_t* invert;
  int32_t minimum, maximum;
};
void threshold_ints(const View& in, const Steps& steps, Number number, void* out, int32_t begin, int32_t end);

// clamp((bias[c] + slope[c] * v) >> shift[c], low, high), as u8, i8 or i16; nothing overflows.
struct Lines {
  const int32_t *bias, *slope, *shift;
  int32_t low, high;
};
void fixed_ints(const View& in, const Lines& lines, Number number, void* out, int32_t begin, int32_t end);

// clamp(a + b, low, high)
void add(const View& a, const View& b, int32_t low, int32_t high, Number number, void* out, int32_t begin, int32_t end);

// OR over the window, AND where inverted.
void bit_pool(const View& in, const Window& window, const uint64_t* invert, uint64_t* out, int32_t begin, int32_t end);

// Maximum over the window, minimum where inverted; the output has the input's number type.
void int_pool(const View& in, const Window& window, const uint64_t* invert, void* out, int32_t begin, int32_t end);

// Sum over the window, as i16 or i32.
void sum_pool(const View& in, const Window& window, Number number, void* out, int32_t begin, int32_t end);

}  // namespace flipflow
