// Layout::lanes: binary weights for AVX2 and AVX-512, 64 output channels side by side, eight fan-in bits at a time.
//
// The fan-in of a channel is its taps * in_words() 64-bit words, in the order of Layout::rows; byte k of a word is its bits
// 8k..8k+7. Channels come in blocks of 64, rounded up with zeros:
//   [channels / 64][words][8 bytes][64 lanes] of bytes, channel 16 L + i of the block (i < 16) in lane 16 L + 2 * (i % 8) + i / 8,
// where byte 2i + 1 of a word holds the XOR of bytes 2i and 2i + 1: the AVX-512 kernels add words in pairs, and need one of the pair
// and the parity of both; the AVX2 kernel undoes it, once for many pixels. The lanes are such that counts in the low and in the high
// bytes of 16-bit lanes come into the order of channels by packing within 128 bits. Size: 1 bit a weight.
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

// Swaps the bits of `high` under `mask` with those of `low` that lie `distance` above.
void swap_bits(uint64_t& low, uint64_t& high, int distance, uint64_t mask) {
  const uint64_t differ = (low >> distance ^ high) & mask;
  high ^= differ;
  low ^= differ << distance;
}

// Byte j of word i becomes byte i of word j. Written out, since words[] then stays in registers.
void transpose(uint64_t (&w)[8]) {
  constexpr uint64_t kFours = 0x00000000ffffffff, kTwos = 0x0000ffff0000ffff;
  swap_bits(w[0], w[4], 32, kFours), swap_bits(w[1], w[5], 32, kFours), swap_bits(w[2], w[6], 32, kFours), swap_bits(w[3], w[7], 32, kFours);
  swap_bits(w[0], w[2], 16, kTwos), swap_bits(w[1], w[3], 16, kTwos), swap_bits(w[4], w[6], 16, kTwos), swap_bits(w[5], w[7], 16, kTwos);
  swap_bits(w[0], w[1], 8, kEvenBytes), swap_bits(w[2], w[3], 8, kEvenBytes);
  swap_bits(w[4], w[5], 8, kEvenBytes), swap_bits(w[6], w[7], 8, kEvenBytes);
}

// Loading a plan waits for this where borders need the weights: eight lanes at a time, in the order of `packed`.
void unpack_lanes(const Shape& s, const void* packed, void* rows) {
  const auto* from = static_cast<const uint8_t*>(packed);
  auto* to = static_cast<uint64_t*>(rows);
  const size_t words = words_of(s), channels = s.out_channels;
  for (size_t block = 0; block < channels; block += 64) {
    for (size_t k = 0; k < words; ++k, from += 512) {
      for (size_t first = 0; first < 64; first += 8) {
        uint64_t eight[8];
        for (size_t byte = 0; byte < 8; ++byte) std::memcpy(&eight[byte], from + byte * 64 + first, 8);
        transpose(eight);
        for (size_t i = 0; i < 8; ++i) {
          const size_t at = first + i, m = block + at / 16 * 16 + at % 2 * 8 + at % 16 / 2;  // undoes lane()
          if (m < channels) to[m * words + k] = paired(eight[i]);
        }
      }
    }
  }
}

}  // namespace

const LayoutCodec lanes_codec = {Layout::lanes, lanes_bytes, pack_lanes, unpack_lanes};

}  // namespace flipflow
