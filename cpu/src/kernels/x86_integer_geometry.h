// Where things lie in the scratch and the packed weights of the x86 integer kernels (Layout::dot4x16).
//
// Scratch: the padded map [rows][columns][channels] in bytes or int16, and a slack of three numbers behind it, since
// the values of a kernel row are read four at a time. Kernels of 1x1 keep only the pixels that they use:
// [out_height][out_width]. Weights, for each word of 64 output channels, or blocks of 16 in the last: bytes
// [kernel_height][quads][blocks][16][4]. Internal linkage: this is compiled for several instruction sets.
#pragma once

#include "kernels/kernels.h"

namespace flipflow {
namespace {

constexpr int32_t kBlock = 16;      // output channels
constexpr int32_t kQuadBytes = 64;  // 16 channels of 4 weights

struct Geometry {
  int32_t rows, columns;  // of the map in scratch
  int32_t step_y, step_x; // input pixels between two of its rows and columns
  size_t pixel_bytes, row_bytes;    // scratch
  size_t down_bytes, right_bytes;   // from one output pixel to the next
  int32_t kernel_rows, quads;       // quads: a kernel row's values, in fours
  int32_t pairs;                    // and in twos
  size_t channel_bytes;             // packed weights of a channel
};

inline Geometry geometry(const Shape& s, int32_t number_bytes) {
  Geometry g;
  const bool points = s.kernel_height == 1 && s.kernel_width == 1;
  g.step_y = points ? s.stride_height : 1;
  g.step_x = points ? s.stride_width : 1;
  g.rows = points ? s.out_height : (s.out_height - 1) * s.stride_height + s.kernel_height;
  g.columns = points ? s.out_width : (s.out_width - 1) * s.stride_width + s.kernel_width;
  g.pixel_bytes = static_cast<size_t>(s.in_channels) * number_bytes;
  g.row_bytes = g.columns * g.pixel_bytes;
  g.down_bytes = g.row_bytes * (points ? 1 : s.stride_height);
  g.right_bytes = g.pixel_bytes * (points ? 1 : s.stride_width);
  g.kernel_rows = s.kernel_height;
  g.quads = (s.kernel_width * s.in_channels + 3) / 4;
  g.pairs = (s.kernel_width * s.in_channels + 1) / 2;
  g.channel_bytes = static_cast<size_t>(g.kernel_rows) * g.quads * 4;
  return g;
}

}  // namespace
}  // namespace flipflow
