// Layout::dot4x16, for 8-bit integer weights: dot products of four values in each of 16 lanes.
//
//   for each word of 64 channels: int8 weights[kh][ceil(kw * c / 4)][blocks][16][4]
//
// blocks: 4, or as many blocks of 16 channels as the last word needs. The values of a kernel row (its taps and their
// channels) follow each other, padded with zeros to a multiple of four. Channels past the last are zeros.
#include <cstring>

#include "kernels/kernels.h"

namespace flipflow {
namespace {

constexpr int32_t kLanes = 16, kWord = 64;

struct Sizes {
  int32_t row;     // values of a kernel row
  int32_t quads;   // of a kernel row
  size_t channel;  // bytes
};

Sizes sizes(const Shape& s) {
  const int32_t row = s.kernel_width * s.in_channels, quads = (row + 3) / 4;
  return {row, quads, static_cast<size_t>(s.kernel_height) * quads * 4};
}

size_t bytes(const Shape& s) {
  return static_cast<size_t>((s.out_channels + kLanes - 1) / kLanes) * kLanes * sizes(s).channel;
}

// Where a channel's quads lie: the first of them, and the distance between two.
struct Channel {
  size_t first, step;
};

Channel channel(const Shape& s, const Sizes& z, int32_t m) {
  const int32_t begin = m / kWord * kWord, left = s.out_channels - begin;
  const int32_t lanes = left >= kWord ? kWord : (left + kLanes - 1) / kLanes * kLanes;
  return {begin * z.channel + (m - begin) * 4, static_cast<size_t>(lanes) * 4};
}

void pack(const Shape& s, const void* rows, void* packed) {
  const Sizes z = sizes(s);
  const auto* from = static_cast<const int8_t*>(rows);
  auto* to = static_cast<int8_t*>(packed);
  std::memset(packed, 0, bytes(s));
  for (int32_t m = 0; m < s.out_channels; ++m) {
    const Channel at = channel(s, z, m);
    int8_t* quads = to + at.first;
    for (int32_t row = 0; row < s.kernel_height; ++row, quads += z.quads * at.step) {
      for (int32_t value = 0; value < z.row; ++value) {
        quads[value / 4 * at.step + value % 4] = *from++;
      }
    }
  }
}

void unpack(const Shape& s, const void* packed, void* rows) {
  const Sizes z = sizes(s);
  const auto* from = static_cast<const int8_t*>(packed);
  auto* to = static_cast<int8_t*>(rows);
  for (int32_t m = 0; m < s.out_channels; ++m) {
    const Channel at = channel(s, z, m);
    const int8_t* quads = from + at.first;
    for (int32_t row = 0; row < s.kernel_height; ++row, quads += z.quads * at.step) {
      for (int32_t value = 0; value < z.row; ++value) *to++ = quads[value / 4 * at.step + value % 4];
    }
  }
}

}  // namespace

const LayoutCodec dot4x16_codec = {Layout::dot4x16, bytes, pack, unpack};

}  // namespace flipflow
