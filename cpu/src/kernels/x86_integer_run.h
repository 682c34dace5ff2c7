// The integer convolution of the x86 kernels, over the vectors of one instruction set; included by one file for each.
//
// `Isa` gives: Vector of kLanes int32, kTilePixels, kNumberBytes of scratch, kSigned (scratch holds signed numbers,
// else int8 is shifted by 128), load, store, set, add, multiply, shift (right, arithmetic, by lane), smaller, larger,
// kWideBytes (room on the stack for weights that widen_weights(Geometry, packed, blocks, room) prepares for the tiles,
// or 0: they take them as packed), at_least (a bit for each lane), widen(number, from), set_shorts,
// narrow(number, Vector[64 / kLanes], low, high, to), which clamps to two vectors of int16 on the way and saturates
// before that, and
//   template <int kPixels, int kBlocks> static void tile(const Geometry&, const unsigned char* const* pixels,
//                                                        const unsigned char* weights, const int32_t* start, int32_t* acc)
// which writes the window's dot products to acc[kPixels][64], 16 * kBlocks channels for each pixel, from start[64] on.
//
// Output pixels are taken kTilePixels at a time, whatever row they are in; one word of 64 channels after the other.
#pragma once

#include <cstring>

#include "kernels/x86_integer_geometry.h"

#if defined(__clang__)
#define FLIPFLOW_UNROLL _Pragma("unroll")
#else
#define FLIPFLOW_UNROLL _Pragma("GCC unroll 32")
#endif

namespace flipflow {
namespace {

constexpr int32_t kWord = 64;
constexpr int32_t kMostPixels = 6;  // of any kernel

inline int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

inline size_t stored_bytes(Number number) { return number == Number::i16 ? 2 : 1; }

// One word of 64 channels, `count` of them used, of one pixel. Vectors are always whole: constants are readable to the
// end of the word, and maps go by way of a buffer where the word is not full.
template <typename Isa>
struct Finish {
  using Vector = typename Isa::Vector;
  static constexpr int32_t kVectors = kWord / Isa::kLanes;

  const Epilogue epilogue;  // copies: stores to the maps may change what lies elsewhere
  const Outputs out;
  int32_t channels, words;  // of the output map
  int32_t first, count;

  void sums(size_t pixel, const int32_t* acc) const {
    std::memcpy(out.sums + pixel * channels + first, acc, count * sizeof(int32_t));
  }

  // A bit for each channel: value >= level.
  static uint64_t at_least(const Vector* value, const int32_t* level) {
    uint64_t fires = 0;
    FLIPFLOW_UNROLL
    for (int32_t v = 0; v < kVectors; ++v) {
      const Vector limit = Isa::load(level + v * Isa::kLanes);
      fires |= static_cast<uint64_t>(Isa::at_least(value[v], limit)) << (v * Isa::kLanes);
    }
    return fires;
  }

  void store_bits(size_t pixel, uint64_t fires) const {
    const uint64_t used = count == kWord ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    const int32_t word = first / kWord;
    out.bits[pixel * words + word] = (fires ^ epilogue.invert[word]) & used;
  }

  void bits(size_t pixel, int32_t class_offset, const int32_t* acc) const {
    Vector value[kVectors];
    FLIPFLOW_UNROLL
    for (int32_t v = 0; v < kVectors; ++v) value[v] = Isa::load(acc + v * Isa::kLanes);
    store_bits(pixel, at_least(value, epilogue.limit + class_offset + first));
  }

  // (bias + slope * acc) >> shift, not yet clamped.
  void scale(int32_t class_offset, const int32_t* acc, Vector* value) const {
    const int32_t* bias = epilogue.bias + class_offset + first;
    const int32_t* slope = epilogue.slope + first;
    const int32_t* shift = epilogue.shift + first;
    FLIPFLOW_UNROLL
    for (int32_t v = 0; v < kVectors; ++v) {
      const int32_t at = v * Isa::kLanes;
      const Vector product = Isa::multiply(Isa::load(acc + at), Isa::load(slope + at));
      value[v] = Isa::shift(Isa::add(product, Isa::load(bias + at)), Isa::load(shift + at));
    }
  }

  static void clamp(Vector* value, int32_t minimum, int32_t maximum) {
    const Vector low = Isa::set(minimum), high = Isa::set(maximum);
    FLIPFLOW_UNROLL
    for (int32_t v = 0; v < kVectors; ++v) value[v] = Isa::smaller(Isa::larger(value[v], low), high);
  }

  void add_residual(size_t index, Vector* value) const {
    alignas(64) unsigned char part[kWord * 2];
    const size_t bytes = stored_bytes(epilogue.fixed);
    const unsigned char* from = static_cast<const unsigned char*>(out.residual) + index * bytes;
    if (count != kWord) {
      std::memcpy(part, from, count * bytes);
      from = part;
    }
    FLIPFLOW_UNROLL
    for (int32_t v = 0; v < kVectors; ++v) {
      value[v] = Isa::add(value[v], Isa::widen(epilogue.fixed, from + v * Isa::kLanes * bytes));
    }
  }

  void store(size_t index, const Vector* value, Vector low, Vector high) const {
    alignas(64) unsigned char part[kWord * 2];
    const size_t bytes = stored_bytes(epilogue.fixed);
    unsigned char* to = static_cast<unsigned char*>(out.fixed) + index * bytes;
    Isa::narrow(epilogue.fixed, value, low, high, count == kWord ? to : part);
    if (count != kWord) std::memcpy(to, part, count * bytes);
  }

  // Where nothing but q is wanted: clamped as int16, half as many vectors. All that does not change from pixel to pixel is taken
  // out of the loop by hand, since compilers must expect the stores to change it.
  void fixed_alone(size_t pixel, int32_t pixels, const int32_t* class_offset, const int32_t* acc) const {
    const Vector low = Isa::set_shorts(epilogue.q_min), high = Isa::set_shorts(epilogue.q_max);
    const int32_t* const bias = epilogue.bias + first;
    Vector slope[kVectors], shift[kVectors];
    FLIPFLOW_UNROLL
    for (int32_t v = 0; v < kVectors; ++v) {
      slope[v] = Isa::load(epilogue.slope + first + v * Isa::kLanes);
      shift[v] = Isa::load(epilogue.shift + first + v * Isa::kLanes);
    }
    const size_t bytes = stored_bytes(epilogue.fixed), step = channels * bytes, used = count * bytes;
    const bool whole = count == kWord;
    const Number number = epilogue.fixed;
    alignas(64) unsigned char part[kWord * 2];
    unsigned char* to = static_cast<unsigned char*>(out.fixed) + (pixel * channels + first) * bytes;
    for (int32_t p = 0; p < pixels; ++p, acc += kWord, to += step) {
      Vector value[kVectors];
      FLIPFLOW_UNROLL
      for (int32_t v = 0; v < kVectors; ++v) {
        const Vector product = Isa::multiply(Isa::load(acc + v * Isa::kLanes), slope[v]);
        value[v] = Isa::shift(Isa::add(product, Isa::load(bias + class_offset[p] + v * Isa::kLanes)), shift[v]);
      }
      Isa::narrow(number, value, low, high, whole ? to : part);
      if (!whole) std::memcpy(to, part, used);
    }
  }

  void fixed(size_t pixel, int32_t class_offset, const int32_t* acc) const {
    Vector value[kVectors];
    const size_t index = pixel * channels + first;
    scale(class_offset, acc, value);
    clamp(value, epilogue.q_min, epilogue.q_max);
    if (out.residual != nullptr) {
      add_residual(index, value);
      clamp(value, epilogue.r_min, epilogue.r_max);
    }
    if (out.fixed != nullptr) store(index, value, Isa::set_shorts(INT16_MIN), Isa::set_shorts(INT16_MAX));
    if (out.bits != nullptr) store_bits(pixel, at_least(value, epilogue.fire + first));
  }

  void operator()(size_t pixel, int32_t pixels, const int32_t* class_offset, const int32_t* acc) const {
    switch (epilogue.form) {
      case Form::sums:
        for (int32_t p = 0; p < pixels; ++p) sums(pixel + p, acc + p * kWord);
        break;
      case Form::bits:
        for (int32_t p = 0; p < pixels; ++p) bits(pixel + p, class_offset[p], acc + p * kWord);
        break;
      case Form::fixed:
        if (out.residual == nullptr && out.bits == nullptr) return fixed_alone(pixel, pixels, class_offset, acc);
        for (int32_t p = 0; p < pixels; ++p) fixed(pixel + p, class_offset[p], acc + p * kWord);
        break;
    }
  }
};

// What the sums of all pixels of a tile begin with, and where they go.
template <typename Isa, int kPixels, int kVectors>
inline void load_sums(const int32_t* start, typename Isa::Vector (&sum)[kPixels][kVectors]) {
  FLIPFLOW_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    FLIPFLOW_UNROLL
    for (int v = 0; v < kVectors; ++v) sum[p][v] = Isa::load(start + v * Isa::kLanes);
  }
}
template <typename Isa, int kPixels, int kVectors>
inline void store_sums(int32_t* acc, const typename Isa::Vector (&sum)[kPixels][kVectors]) {
  FLIPFLOW_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    FLIPFLOW_UNROLL
    for (int v = 0; v < kVectors; ++v) Isa::store(acc + p * kWord + v * Isa::kLanes, sum[p][v]);
  }
}

using TileFunction = void (*)(const Geometry&, const unsigned char* const*, const unsigned char*, const int32_t*,
                              int32_t*);

template <typename Isa, int kPixels>
TileFunction choose_blocks(int32_t blocks) {
  switch (blocks) {
    case 1: return Isa::template tile<kPixels, 1>;
    case 2: return Isa::template tile<kPixels, 2>;
    case 3: return Isa::template tile<kPixels, 3>;
    default: return Isa::template tile<kPixels, 4>;
  }
}

template <typename Isa, int kPixels = Isa::kTilePixels>
TileFunction choose_tile(int32_t pixels, int32_t blocks) {
  if constexpr (kPixels > 1) {
    if (pixels < kPixels) return choose_tile<Isa, kPixels - 1>(pixels, blocks);
  }
  return choose_blocks<Isa, kPixels>(blocks);
}

// Whether the tiles may use weights widened once for all of them: there is room, and it pays.
inline bool widens(const Shape& s, const Share& share, int32_t room) {
  const Geometry g = geometry(s, 1);
  const int64_t bytes = static_cast<int64_t>(g.kernel_rows) * g.quads * kWord * 4 * 2;
  return bytes <= room && static_cast<int64_t>(share.row_end - share.row_begin) * s.out_width >= 16;
}

// What the 128 in each activation has to be paid back with: start = -128 * (sum of the channel's weights), by way of a pixel whose
// values are all 128.
template <typename Isa>
void pay_back(const Geometry& g, const unsigned char* weights, int32_t blocks, int32_t* start) {
  constexpr int32_t kQuads = 64;  // in one go
  alignas(64) unsigned char pixel[kQuads * 4];
  alignas(64) int32_t acc[kWord] = {};
  std::memset(pixel, 128, sizeof pixel);
  const unsigned char* const at[1] = {pixel};
  Geometry part = g;
  part.kernel_rows = 1;
  for (int32_t left = g.kernel_rows * g.quads; left > 0; left -= part.quads) {
    part.quads = least(left, kQuads);
    choose_blocks<Isa, 1>(blocks)(part, at, weights, acc, acc);
    weights += static_cast<size_t>(part.quads) * blocks * kQuadBytes;
  }
  for (int32_t m = 0; m < kWord; ++m) start[m] = -acc[m];
}

// One word of channels for the output rows [row_begin, row_end).
template <typename Isa>
void run_word(const Shape& s, const Geometry& g, const unsigned char* weights, const unsigned char* map,
              const Finish<Isa>& finish, int32_t row_begin, int32_t row_end) {
  const int32_t blocks = (finish.count + kBlock - 1) / kBlock, padded = finish.words * kWord;
  alignas(64) int32_t start[kWord] = {}, acc[kMostPixels * kWord] = {};
  if constexpr (!Isa::kSigned) {
    if (s.input == Number::i8) pay_back<Isa>(g, weights, blocks, start);
  }
  alignas(64) unsigned char room[Isa::kWideBytes > 0 ? Isa::kWideBytes : 1];
  const unsigned char* taps = weights;
  if (Isa::kWideBytes > 0) {
    Isa::widen_weights(g, taps, blocks, room);
    taps = room;
  }
  int32_t left = (row_end - row_begin) * s.out_width, tiles = (left + Isa::kTilePixels - 1) / Isa::kTilePixels;
  int32_t y = row_begin, x = 0;
  const unsigned char* row = map + y * g.down_bytes;
  const unsigned char* next = row;
  for (; tiles > 0; --tiles) {  // as even as can be
    const int32_t pixels = (left + tiles - 1) / tiles;
    const unsigned char* at[kMostPixels];
    int32_t class_offset[kMostPixels];
    const size_t pixel = static_cast<size_t>(y) * s.out_width + x;
    for (int32_t p = 0; p < pixels; ++p, next += g.right_bytes) {
      at[p] = next;
      class_offset[p] = (finish.epilogue.row_class[y] + finish.epilogue.column_class[x]) * padded;
      if (++x < s.out_width) continue;
      x = 0, ++y;
      row += g.down_bytes;
      next = row - g.right_bytes;
    }
    choose_tile<Isa>(pixels, blocks)(g, at, taps, start, acc);
    finish(pixel, pixels, class_offset, acc);
    left -= pixels;
  }
}

template <typename Isa>
void run_integer(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
                 const Share& share) {
  const Geometry g = geometry(s, Isa::kNumberBytes);
  for (int32_t first = share.channel_begin; first < share.channel_end; first += kWord) {
    const Finish<Isa> finish{epilogue, out, s.out_channels, (s.out_channels + kWord - 1) / kWord, first,
                             least(kWord, s.out_channels - first)};
    const auto* weights = static_cast<const unsigned char*>(packed) + first * g.channel_bytes;
    run_word<Isa>(s, g, weights, static_cast<const unsigned char*>(scratch), finish, share.row_begin, share.row_end);
  }
}

}  // namespace
}  // namespace flipflow
