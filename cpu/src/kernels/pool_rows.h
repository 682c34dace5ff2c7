// Maximum (or minimum) over the windows of a pool, one row of output at a time: down the columns first, then along the
// row.
//
// Maps are [height][width][channels] of int8, uint8 or int16. The caller hands over the input rows that the window
// covers and that lie inside the map, at least one, in any order; columns outside the map take no part, and every
// window must have at least one column inside (pads smaller than the kernel). So a row may come straight from a
// convolution's row buffer.
//
//   flip  [channels], or null: 0 where the maximum is wanted, -1 (all bits set) where the minimum is: inverting all bits
//         turns one into the other
//   line  [width][channels]: scratch; contents do not matter
//   to    [out_width][channels]: the row of output; nothing behind it is touched
// `line` and `to` must not overlap each other or the input rows. Any alignment will do. Portable; compilers vectorise
// it. All functions have internal linkage, so that files compiled for an instruction set may include this.
#pragma once

#include "kernels/kernels.h"

namespace flipflow {
namespace {

struct PoolRow {
  int32_t width, channels;
  int32_t kernel_width, stride_width, pad_left;
  int32_t out_width;
};

template <typename T>
inline T larger(T a, T b) {
  return a > b ? a : b;
}

// to[i] = the largest of one to three vectors.
template <typename T>
inline void largest_of(int32_t count, const T* a, const T* b, const T* c, T* __restrict to, int32_t size) {
  if (count == 1) {
    for (int32_t i = 0; i < size; ++i) to[i] = a[i];
  } else if (count == 2) {
    for (int32_t i = 0; i < size; ++i) to[i] = larger(a[i], b[i]);
  } else {
    for (int32_t i = 0; i < size; ++i) to[i] = larger(larger(a[i], b[i]), c[i]);
  }
}

// to[i] = the largest of `count` vectors, which at(k) points to.
template <typename T, typename At>
inline void largest_of_all(int32_t count, At at, T* __restrict to, int32_t size) {
  const int32_t first = count < 3 ? count : 3;
  largest_of(first, at(0), at(first - 1 < 1 ? 0 : 1), at(first - 1), to, size);
  for (int32_t k = first; k < count; k += 2) {
    const T* a = at(k);
    const T* b = at(k + 1 < count ? k + 1 : k);
    for (int32_t i = 0; i < size; ++i) to[i] = larger(to[i], larger(a[i], b[i]));
  }
}

// map ^= flip for every pixel.
template <typename T>
inline void flip_channels(const T* flip, T* __restrict map, int32_t pixels, int32_t channels) {
  for (int32_t x = 0; x < pixels; ++x, map += channels) {
    for (int32_t c = 0; c < channels; ++c) map[c] = static_cast<T>(map[c] ^ flip[c]);
  }
}

// The columns with some channels flipped on the way: the rows themselves are not written to.
template <typename T>
inline void largest_flipped(int32_t width, int32_t channels, const T* const* rows, int32_t count, const T* flip,
                            T* __restrict line) {
  for (int32_t x = 0; x < width; ++x, line += channels) {
    const size_t from = static_cast<size_t>(x) * channels;
    for (int32_t k = 0; k < count; ++k) {
      const T* row = rows[k] + from;
      if (k == 0) {
        for (int32_t c = 0; c < channels; ++c) line[c] = static_cast<T>(row[c] ^ flip[c]);
      } else {
        for (int32_t c = 0; c < channels; ++c) line[c] = larger(line[c], static_cast<T>(row[c] ^ flip[c]));
      }
    }
  }
}

// Along the row. kChannels: their number where compilers know it, which spares short loops their beginnings and ends, or 0.
template <typename T, int32_t kChannels>
inline void largest_along(const PoolRow& p, const T* from, T* to) {
  const int32_t channels = kChannels != 0 ? kChannels : p.channels;
  for (int32_t x = 0; x < p.out_width; ++x) {
    const int32_t start = x * p.stride_width - p.pad_left, end = start + p.kernel_width;
    const int32_t begin = start < 0 ? 0 : start, stop = end < p.width ? end : p.width;
    const T* window = from + static_cast<size_t>(begin) * channels;
    largest_of_all(
        stop - begin, [&](int32_t k) { return window + static_cast<size_t>(k) * channels; },
        to + static_cast<size_t>(x) * channels, channels);
  }
}

// One row of output from `count` rows of input.
template <typename T>
inline void pool_row_max(const PoolRow& p, const T* const* rows, int32_t count, const T* flip, T* line, T* to) {
  if (flip != nullptr) {
    largest_flipped(p.width, p.channels, rows, count, flip, line);
  } else if (count > 1) {
    largest_of_all(count, [&](int32_t k) { return rows[k]; }, line, p.width * p.channels);
  }
  const T* from = flip == nullptr && count == 1 ? rows[0] : line;
  if (p.channels == 64) largest_along<T, 64>(p, from, to);
  else largest_along<T, 0>(p, from, to);
  if (flip != nullptr) flip_channels(flip, to, p.out_width, p.channels);
}

// The same for a map whose numbers are known at run time: i8, u8 or i16.
inline void pool_rows_max(Number number, const PoolRow& p, const void* const* rows, int32_t count, const void* flip,
                          void* line, void* to) {
  const auto run = [&](auto kind) {
    using T = decltype(kind);
    pool_row_max(p, reinterpret_cast<const T* const*>(rows), count, static_cast<const T*>(flip), static_cast<T*>(line),
                 static_cast<T*>(to));
  };
  if (number == Number::u8) run(uint8_t{});
  else if (number == Number::i8) run(int8_t{});
  else run(int16_t{});
}

}  // namespace
}  // namespace flipflow
