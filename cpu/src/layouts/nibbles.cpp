// Layout::nibbles: reserved. The AVX2 kernels read Layout::lanes, as the AVX-512 ones do, so that one plan serves all of x86;
// packing is that of Layout::rows.
#include <cstring>

#include "kernels/kernels.h"

namespace flipflow {
namespace {

size_t nibbles_bytes(const Shape& s) {
  return static_cast<size_t>(s.out_channels) * s.taps() * s.in_words() * sizeof(uint64_t);
}

void pack_nibbles(const Shape& s, const void* rows, void* packed) { std::memcpy(packed, rows, nibbles_bytes(s)); }
void unpack_nibbles(const Shape& s, const void* packed, void* rows) { std::memcpy(rows, packed, nibbles_bytes(s)); }

}  // namespace

const LayoutCodec nibbles_codec = {Layout::nibbles, nibbles_bytes, pack_nibbles, unpack_nibbles};

}  // namespace flipflow
