// Layout::dot4x4: int8 weights for NEON, in groups of four output channels and four fan-in values, up to four groups together.
//
// The fan-in of a channel is its taps * in_channels values, in the order of Layout::rows, with zeros up to a multiple of 4.
//   [channels / 16][fan-in / 4][16 channels][4 values] of int8, channels rounded up to 4 with zeros: the last block may be narrower;
// and where the input is u8, [channels / 4][4 channels] of int32: 128 times the sum of the channel's weights, which gives back
// what the kernels' shift of u8 inputs to int8 takes away.
#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"

namespace flipflow {
namespace {

size_t fan_in(const Shape& s) { return static_cast<size_t>(s.taps()) * s.in_channels; }
size_t padded_fan_in(const Shape& s) { return (fan_in(s) + 3) / 4 * 4; }
size_t padded_outputs(const Shape& s) { return static_cast<size_t>(s.out_channels + 3) / 4 * 4; }
size_t place(const Shape& s, size_t m, size_t k) {
  const size_t block = m / 16 * 16, width = std::min<size_t>(16, padded_outputs(s) - block);
  return block * padded_fan_in(s) + k / 4 * 4 * width + (m - block) * 4 + k % 4;
}

size_t dot4x4_bytes(const Shape& s) {
  return padded_outputs(s) * (padded_fan_in(s) + (s.input == Number::u8 ? sizeof(int32_t) : 0));
}

void pack_dot4x4(const Shape& s, const void* rows, void* packed) {
  const auto* from = static_cast<const int8_t*>(rows);
  auto* to = static_cast<int8_t*>(packed);
  std::memset(packed, 0, dot4x4_bytes(s));
  for (size_t m = 0; m < static_cast<size_t>(s.out_channels); ++m) {
    int32_t sum = 0;
    for (size_t k = 0; k < fan_in(s); ++k) {
      const int8_t weight = from[m * fan_in(s) + k];
      to[place(s, m, k)] = weight;
      sum += 128 * weight;
    }
    if (s.input == Number::u8) std::memcpy(to + padded_outputs(s) * padded_fan_in(s) + m * sizeof sum, &sum, sizeof sum);
  }
}

void unpack_dot4x4(const Shape& s, const void* packed, void* rows) {
  const auto* from = static_cast<const int8_t*>(packed);
  auto* to = static_cast<int8_t*>(rows);
  for (size_t m = 0; m < static_cast<size_t>(s.out_channels); ++m) {
    for (size_t k = 0; k < fan_in(s); ++k) to[m * fan_in(s) + k] = from[place(s, m, k)];
  }
}

}  // namespace

const LayoutCodec dot4x4_codec = {Layout::dot4x4, dot4x4_bytes, pack_dot4x4, unpack_dot4x4};

}  // namespace flipflow
