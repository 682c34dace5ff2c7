// Layout::lanes: binary weights for AVX2 and AVX-512, 64 output channels side by side, eight fan-in bits at a time.
//
// The fan-in of a channel is its taps * in_words() 64-bit words, in the order of Layout::rows; byte k of a word is its bits
// 8k..8k+7. Channels come in blocks of 64, rounded up with zeros:
//   [channels / 64][words][8 bytes][64 lanes] of bytes, channel 16 L + i of the block (i < 16) in lane 16 L + 2 * (i % 8) + i / 8,
// where byte 2i + 1 of a word holds the XOR of bytes 2i and 2i + 1: the kernels add words in pairs, and need one of the pair and
// the parity of both. The lanes are such that counts in the low and in the high bytes of 16-bit lanes come into the order of
// channels by packing within 128 bits. Size: 1 bit a weight.
#include <cstring>

#include "kernels/kernels.h"

namespace flipflow {
namespace {

constexpr uint64_t kEvenBytes = 0x00ff00ff00ff00ff;

size_t words_of(const Shape& s) { return static_cast<size_t>(s.taps()) * s.in_words(); }

size_t lanes_bytes(const Shape& s) { return static_cast<size_t>(s.out_words()) * words_of(s) * 8 * 64; }

// Channels 16 L + i of a block, i < 16, share 128 bits.
size_t lane(size_t m) { return m / 16 * 16 + 2 * (m % 8) + m % 16 / 8; }

// Place of byte 0 of word k of channel m; the other bytes follow at distances of 64.
size_t place(const Shape& s, size_t m, size_t k) { return m / 64 * words_of(s) * 512 + k * 512 + lane(m % 64); }

// XORs each even byte onto the odd one above it; its own inverse.
uint64_t paired(uint64_t word) { return word ^ (word & kEvenBytes) << 8; }

void pack_lanes(const Shape& s, const void* rows, void* packed) {
  const auto* from = static_cast<const uint64_t*>(rows);
  auto* to = static_cast<uint8_t*>(packed);
  std::memset(packed, 0, lanes_bytes(s));
  for (size_t m = 0; m < static_cast<size_t>(s.out_channels); ++m) {
    for (size_t k = 0; k < words_of(s); ++k) {
      const uint64_t word = paired(*from++);
      for (size_t byte = 0; byte < 8; ++byte) to[place(s, m, k) + byte * 64] = static_cast<uint8_t>(word >> (8 * byte));
    }
  }
}

void unpack_lanes(const Shape& s, const void* packed, void* rows) {
  const auto* from = static_cast<const uint8_t*>(packed);
  auto* to = static_cast<uint64_t*>(rows);
  for (size_t m = 0; m < static_cast<size_t>(s.out_channels); ++m) {
    for (size_t k = 0; k < words_of(s); ++k) {
      uint64_t word = 0;
      for (size_t byte = 0; byte < 8; ++byte) word |= uint64_t{from[place(s, m, k) + byte * 64]} << (8 * byte);
      *to++ = paired(word);
    }
  }
}

}  // namespace

const LayoutCodec lanes_codec = {Layout::lanes, lanes_bytes, pack_lanes, unpack_lanes};

}  // namespace flipflow
