// Layout::quads: binary weights for NEON, in quads of four output channels, step by step of 128 fan-in bits.
//
// The fan-in of a channel is its `words` = taps * in_words() 64-bit words, in the order of Layout::rows. One quad holds
//   [words / 2 steps][4 channels][2 words], and where `words` is odd, the last word of each of the 4 channels.
// Channels come in blocks of 32; a block of n channels has g = ceil(n / 4) quads, and lane i of its quad j is channel
// i * g + j of the block. With 8 quads, shifting in one bit a lane and quad thus leaves whole bytes of 8 channels.
// Lanes beyond the block are 0. Size: 1 bit a weight, channels rounded up to 4.
#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"

namespace flipflow {
namespace {

size_t words_of(const Shape& s) { return static_cast<size_t>(s.taps()) * s.in_words(); }

size_t quads_bytes(const Shape& s) {
  return static_cast<size_t>((s.out_channels + 3) / 4) * 4 * words_of(s) * sizeof(uint64_t);
}

// Calls visit(channel, word, index in the packed words) for every word of every channel.
template <typename Visit>
void for_each_word(const Shape& s, Visit visit) {
  const size_t words = words_of(s), paired = words / 2 * 2;
  for (int32_t m = 0; m < s.out_channels; ++m) {
    const int32_t block = m / 32 * 32, quads = (std::min(32, s.out_channels - block) + 3) / 4;
    const size_t quad = static_cast<size_t>(block / 4 + (m - block) % quads), lane = static_cast<size_t>((m - block) / quads);
    for (size_t k = 0; k < words; ++k) {
      const size_t place = k < paired ? k / 2 * 8 + lane * 2 + k % 2 : paired * 4 + lane;
      visit(static_cast<size_t>(m), k, quad * words * 4 + place);
    }
  }
}

void pack_quads(const Shape& s, const void* rows, void* packed) {
  const auto* from = static_cast<const uint64_t*>(rows);
  auto* to = static_cast<uint64_t*>(packed);
  std::memset(packed, 0, quads_bytes(s));
  for_each_word(s, [&](size_t m, size_t k, size_t place) { to[place] = from[m * words_of(s) + k]; });
}

void unpack_quads(const Shape& s, const void* packed, void* rows) {
  const auto* from = static_cast<const uint64_t*>(packed);
  auto* to = static_cast<uint64_t*>(rows);
  for_each_word(s, [&](size_t m, size_t k, size_t place) { to[m * words_of(s) + k] = from[place]; });
}

}  // namespace

const LayoutCodec quads_codec = {Layout::quads, quads_bytes, pack_quads, unpack_quads};

}  // namespace flipflow
