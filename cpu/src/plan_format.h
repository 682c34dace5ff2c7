// The plan file: a flat program for one network. Little-endian, naturally aligned, read in place.
//
//   Header | Tensor[tensors] | Op[ops] | Blob[blobs] | blob data, weights at multiples of 64, others at multiples of 8
//
// checksums: CRC-32 (zlib's polynomial) of the header with both checksums as 0, and of everything behind the header.
// Nothing in a file is trusted: the loader checks every index, size and range before the first use (plan.cpp).
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace flipflow {

constexpr char kPlanMagic[8] = {'F', 'L', 'I', 'P', 'P', 'L', 'A', 'N'};
constexpr uint32_t kPlanVersion = 2;  // 1: dot4x16 held the sums of the weights
constexpr int32_t kNone = -1;

struct PlanHeader {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;  // sizeof(PlanHeader)
  uint64_t file_bytes;
  uint32_t tensors, ops, blobs;
  int32_t input, output;  // tensors: u8 or i8 or i16 map; i32 logits
  int32_t classes;
  uint64_t arena_bytes;   // for all tensors
  double logit_scale;     // real value of one unit of the logits
  uint8_t network[32];    // sha256 of the integer net this plan was made of
  uint32_t body_checksum;
  uint32_t header_checksum;
};
static_assert(sizeof(PlanHeader) == 104);

// A map in the arena. Bits: height * width * ceil(channels / 64) words; others: height * width * channels numbers.
struct PlanTensor {
  Number number;
  int32_t height, width, channels;
  int32_t minimum, maximum;  // range of the integers; 0 and 1 for bits
  uint64_t offset;           // in the arena, a multiple of 64
};
static_assert(sizeof(PlanTensor) == 32);

enum class OpKind : uint32_t {
  binary_conv = 0,     // in[0] bits, in[1] residual or none -> out[0] by form, out[1] bits or none (form fixed)
  integer_conv = 1,    // in[0] u8, i8 or i16, in[1] residual or none -> as above; may pool (form fixed, no residual)
  threshold_bits = 2,  // in[0] integers -> out[0] bits: (v >= threshold[c]) XOR invert
  threshold_ints = 3,  // in[0] integers -> out[0] integers: minimum + number of levels passed, or maximum - number where inverted
  add = 4,             // in[0] + in[1], clamped to r_min..r_max -> out[0] integers
  bit_pool = 5,        // in[0] bits -> out[0] bits: OR over the window, AND where `invert` has the channel's bit
  int_pool = 6,        // in[0] integers -> out[0] integers: maximum over the window, minimum where `invert` has the bit
  sum_pool = 7,        // in[0] integers -> out[0] i16 or i32: sum over the window
  fixed_ints = 8,      // in[0] integers -> out[0] integers: clamp((bias[c] + slope[c] * v) >> shift[c], q_min, q_max)
};

// Windows of pools take part only where they lie inside the map. Fully connected layers are convolutions whose kernel is the
// whole map. The constants of convolutions are in terms of the dot product s, whatever the kernel counts; the engine derives
// each border class's own constants when it loads the plan.
struct PlanOp {
  OpKind kind;
  int32_t name;          // blob: printable ASCII characters, not terminated; or kNone
  int32_t in[2], out[2]; // tensors, or kNone
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t pad_top, pad_left, pad_bottom, pad_right;
  uint32_t pad_kind;     // 0 none or integer zeros, 1 zero (ternary border), 2 minus_one, 3 plus_one
  Form form;
  Number weight_number;  // bits, i8 or i16
  Layout layout;
  int32_t pool_kernel_height, pool_kernel_width, pool_stride_height, pool_stride_width;  // 0: the convolution does not pool
  int32_t pool_pad_top, pool_pad_left, pool_pad_bottom, pool_pad_right;
  int32_t weights;       // blob
  int32_t threshold;     // blob of numbers: form bits: fires where s >= threshold[m]; threshold_bits, fixed with bits: v or r >= it
  int32_t invert;        // blob u64: one word for each 64 channels, or kNone for all 0
  int32_t slope, bias, shift;  // blobs of numbers; form fixed: q = clamp((bias[m] + slope[m] * s) >> shift[m], q_min, q_max)
  int32_t levels;        // blob i32 [channels][count]: threshold_ints, rising in each channel
  int32_t q_min, q_max, r_min, r_max;
};
static_assert(sizeof(PlanOp) == 4 * 37);

// Numbers in blobs: one for each output channel, or a single one that stands for all. Packed ones follow each other without gaps,
// from the lowest bit of the first byte on, one for each channel: `width` bits, two's complement where `is_signed`, times 2^shift.
enum class Element : uint32_t { bytes = 0, i8 = 1, u8 = 2, i16 = 3, i32 = 4, u64 = 5, packed = 6 };

struct PlanBlob {
  PlanBlob() = default;
  PlanBlob(uint64_t offset, uint64_t bytes, Element element, uint8_t width)
      : offset(static_cast<uint32_t>(offset)), bytes(static_cast<uint32_t>(bytes)), element(element), width(width) {}

  uint32_t offset, bytes;
  Element element;
  uint8_t width;  // of packed numbers, 1 to 32; with shift, at most 32 bits, or 31 where not signed
  uint8_t shift = 0, is_signed = 0, reserved = 0;
};
static_assert(sizeof(PlanBlob) == 16);

}  // namespace flipflow
