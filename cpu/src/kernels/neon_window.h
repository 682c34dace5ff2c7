// Windows of the padded map, as the binary and the integer NEON kernels see them.
#pragma once

#include "kernels/kernels.h"
#include "kernels/neon_common.h"

namespace flipflow {
namespace {

int32_t padded_rows(const Shape& s) { return (s.out_height - 1) * s.stride_height + s.kernel_height; }
int32_t padded_columns(const Shape& s) { return (s.out_width - 1) * s.stride_width + s.kernel_width; }

// Up to 4 output pixels that follow each other in raster order, over row ends too.
struct Tile {
  size_t pixel;        // the first one's index
  int32_t y[4], x[4];
  size_t window[4];    // index of the first tap in the padded map, in pixels
};

// Offset of the class of a tile's pixel p in vectors of constants.
int32_t class_offset(const Shape& s, const Epilogue& e, const Tile& tile, int p) {
  return (e.row_class[tile.y[p]] + e.column_class[tile.x[p]]) * s.padded_channels();
}

// Walks output rows in raster order.
class Walk {
 public:
  Walk(const Shape& s, int32_t row)
      : width_(s.out_width), step_(s.stride_width),
        row_step_(static_cast<size_t>(s.stride_height) * padded_columns(s)), y_(row), x_(0), row_(row * row_step_), at_(row_) {}

  template <int P>
  FLIPFLOW_INLINE void next(Tile& tile) {
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
      tile.y[p] = y_;
      tile.x[p] = x_;
      tile.window[p] = at_;
      at_ += step_;
      if (++x_ < width_) continue;
      x_ = 0;
      ++y_;
      at_ = row_ += row_step_;
    }
  }

 private:
  const int32_t width_, step_;
  const size_t row_step_;
  int32_t y_, x_;
  size_t row_, at_;
};

// Calls visit.template run<P>(tile) for the pixels of the output rows [begin, end): 4 at a time, 2 and 1 at the end.
template <class Visit>
void for_each_tile(const Shape& s, int32_t begin, int32_t end, Visit& visit) {
  Walk walk(s, begin);
  Tile tile;
  tile.pixel = static_cast<size_t>(begin) * s.out_width;
  const size_t stop = static_cast<size_t>(end) * s.out_width;
  for (; tile.pixel + 4 <= stop; tile.pixel += 4) {
    walk.template next<4>(tile);
    visit.template run<4>(tile);
  }
  if (tile.pixel + 2 <= stop) {
    walk.template next<2>(tile);
    visit.template run<2>(tile);
    tile.pixel += 2;
  }
  if (tile.pixel < stop) {
    walk.template next<1>(tile);
    visit.template run<1>(tile);
  }
}

}  // namespace
}  // namespace flipflow
