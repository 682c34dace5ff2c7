// Layout::rows: weights as the integer net has them, one output channel after the other.
#include <cstring>

#include "kernels/kernels.h"

namespace flipflow {
namespace {

size_t bytes(const Shape& s) {
  const size_t taps = static_cast<size_t>(s.out_channels) * s.taps();
  if (s.weights == Number::bits) return taps * s.in_words() * sizeof(uint64_t);
  return taps * s.in_channels * (s.weights == Number::i16 ? sizeof(int16_t) : sizeof(int8_t));
}

void pack(const Shape& s, const void* rows, void* packed) { std::memcpy(packed, rows, bytes(s)); }
void unpack(const Shape& s, const void* packed, void* rows) { std::memcpy(rows, packed, bytes(s)); }

}  // namespace

const LayoutCodec rows_codec = {Layout::rows, bytes, pack, unpack};

}  // namespace flipflow
