// The tile interface: what every instruction set implements, one file each, one signature for all.
//
// Encodings. A bit is 1 for +1 and 0 for -1. A map of bits is [height][width][words] of 64-bit words, channel 0 in bit 0
// of word 0; the unused bits of the last word are 0. Integer maps are [height][width][channels].
//
// A binary convolution counts mismatches: acc = popcount(a XOR w) over the window, with zero padding and minus_one padding
// entering as 0 bits and plus_one padding as 1 bits. Unused bits are 0 in activations and in weights, so they never count.
// An integer convolution gives acc = sum(a * w); its border is the integer 0.
//
// Epilogues turn acc into one of three forms. All constants are per output channel, in vectors of `padded` entries (the
// channels rounded up to 64, the rest unspecified but readable), one such vector per border class where they depend on it:
//   sums:   int32 result = base[class][m] - 2 * acc for binary convolutions, acc for integer ones
//   bits:   binary convolutions fire where acc <= limit[class][m], integer ones where acc >= limit[class][m];
//           then XOR invert; unused bits of the last word are written as 0
//   fixed:  q = clamp((bias[class][m] + slope[m] * acc) >> shift[m], q_min, q_max)   (arithmetic shift; never overflows,
//           which the plan's maker has checked for every acc that can occur)
//           r = clamp(residual + q, r_min, r_max) where there is a residual, else r = q
//           r is stored in int8 or int16, and where `bits` is given, bit = (r >= fire[m]) XOR invert
// The class of output pixel (y, x) is row_class[y] + column_class[x]; a class k has its vector at offset k * padded.
//
// Contracts: all buffers are 64-byte aligned; nothing is read or written outside the sizes stated here; packed weights and
// scratch are as large as the functions below say. No function allocates. Results do not depend on how a convolution is
// shared out between threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flipflow {

enum class Number : uint32_t { bits = 0, u8 = 1, i8 = 2, i16 = 3, i32 = 4 };
enum class Form : uint32_t { sums = 0, bits = 1, fixed = 2 };
enum class Border : uint32_t { zeros = 0, ones = 1 };

// How weights lie in memory. One source file in layouts/ for each; all are portable, so any machine can write any plan.
enum class Layout : uint32_t {
  rows = 0,     // binary: [m][kh][kw][words] of 64-bit words; integer: [m][kh][kw][c]; what the scalar kernels read
  lanes = 1,    // binary, x86
  quads = 2,    // binary, NEON
  dot4x16 = 3,  // integer, x86: VNNI and its substitutes
  dot4x4 = 4,   // integer, NEON
};

struct Shape {
  int32_t in_height, in_width, in_channels;
  int32_t kernel_height, kernel_width;
  int32_t stride_height, stride_width;
  int32_t pad_top, pad_left;  // bottom and right follow from the output size
  int32_t out_height, out_width, out_channels;
  Border border;   // binary convolutions: what the padding reads as
  Number input;    // bits, u8, i8 or i16
  Number weights;  // bits, i8 or i16

  int32_t in_words() const { return (in_channels + 63) / 64; }
  int32_t out_words() const { return (out_channels + 63) / 64; }
  int32_t padded_channels() const { return out_words() * 64; }
  int32_t taps() const { return kernel_height * kernel_width; }
};

struct Epilogue {
  Form form;
  const int32_t* row_class;     // [out_height], multiples of the number of column classes
  const int32_t* column_class;  // [out_width]
  const int32_t* base;          // sums of binary convolutions, per class
  const int32_t* limit;         // bits, per class
  const int32_t* bias;          // fixed, per class
  const int32_t* slope;         // fixed
  const int32_t* shift;         // fixed, 0..31
  const int32_t* fire;          // fixed with bits
  const uint64_t* invert;       // [out_words]
  int32_t q_min, q_max, r_min, r_max;
  Number fixed;                 // i8, u8 or i16: storage of r, and of the residual
};

struct Outputs {
  int32_t* sums;         // form sums: [out_height][out_width][out_channels]
  uint64_t* bits;        // form bits, or fixed where wanted, else null: [out_height][out_width][out_words]
  const void* residual;  // form fixed: [out_height][out_width][out_channels], or null
  void* fixed;           // form fixed: the same shape, may be the residual itself; null where only bits are wanted
};

// The part of a convolution that one call computes. channel_begin and channel_end are multiples of 64, or the end.
struct Share {
  int32_t row_begin, row_end;
  int32_t channel_begin, channel_end;
};

// One convolution of an instruction set. `prepare` writes the padded input in the kernel's own form to scratch, rows
// [begin, end) of the padded map of padded_rows() rows; all rows must be prepared before `run` is called.
struct ConvKernel {
  const char* name;
  Layout layout;
  bool (*accepts)(const Shape&);
  size_t (*scratch_bytes)(const Shape&);
  int32_t (*padded_rows)(const Shape&);
  void (*prepare)(const Shape&, const void* input, void* scratch, int32_t begin, int32_t end);
  void (*run)(const Shape&, const void* packed, const void* scratch, const Epilogue&, const Outputs&, const Share&);
};

// What one instruction set offers. `limit` runs the inner loop's vector operations on registers alone, `rounds` times, and
// returns the binary MAC done: its time is the machine's limit, with which benchmarks compare.
struct Kernels {
  const char* isa;
  bool (*supported)();  // by this processor
  ConvKernel binary;
  ConvKernel integer;   // shapes that it does not accept go to the scalar one
  double (*limit)(int64_t rounds);
};

// Packing between Layout::rows and the kernels' layouts. Shapes are checked by the caller.
struct LayoutCodec {
  Layout layout;
  size_t (*bytes)(const Shape&);
  void (*pack)(const Shape&, const void* rows, void* packed);
  void (*unpack)(const Shape&, const void* packed, void* rows);
};

extern const LayoutCodec rows_codec, lanes_codec, quads_codec, dot4x16_codec, dot4x4_codec;
extern const Kernels scalar_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx512bw_kernels, avx512_kernels;
#endif
#if defined(__aarch64__) || defined(FLIPFLOW_SIMDE)
extern const Kernels neon_kernels, neon_dot_kernels;
#endif

}  // namespace flipflow
