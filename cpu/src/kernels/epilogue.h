// The epilogue of one output element, in plain C++: the reference, and the tail of the vector kernels.
#pragma once

#include <algorithm>

#include "kernels/kernels.h"

namespace flipflow {

inline int32_t load_fixed(const void* map, Number number, size_t index) {
  switch (number) {
    case Number::u8: return static_cast<const uint8_t*>(map)[index];
    case Number::i8: return static_cast<const int8_t*>(map)[index];
    default: return static_cast<const int16_t*>(map)[index];
  }
}

inline void store_fixed(void* map, Number number, size_t index, int32_t value) {
  switch (number) {
    case Number::u8: static_cast<uint8_t*>(map)[index] = static_cast<uint8_t>(value); break;
    case Number::i8: static_cast<int8_t*>(map)[index] = static_cast<int8_t>(value); break;
    default: static_cast<int16_t*>(map)[index] = static_cast<int16_t>(value); break;
  }
}

// Whether the bit of channel m is set after inversion.
inline bool inverted(const Epilogue& epilogue, int32_t m, bool fires) {
  return fires != ((epilogue.invert[m / 64] >> (m % 64) & 1) != 0);
}

// Form fixed: r of channel m; `bias` is the class's vector, `index` the element's place in the maps.
inline int32_t fixed_value(const Epilogue& epilogue, const Outputs& out, const int32_t* bias, int32_t m, size_t index,
                           int32_t acc) {
  int32_t value = (bias[m] + epilogue.slope[m] * acc) >> epilogue.shift[m];
  value = std::clamp(value, epilogue.q_min, epilogue.q_max);
  if (out.residual != nullptr) {
    value = std::clamp(value + load_fixed(out.residual, epilogue.fixed, index), epilogue.r_min, epilogue.r_max);
  }
  return value;
}

// Writes one word of 64 channels (or fewer, at the end) of one pixel from its accumulators.
// below: whether a bit fires at or below its limit (binary convolutions) or at or above it.
inline void finish_word(const Shape& shape, const Epilogue& epilogue, const Outputs& out, bool below, int32_t y, int32_t x,
                        int32_t word, const int32_t* acc) {
  const int32_t class_offset = (epilogue.row_class[y] + epilogue.column_class[x]) * shape.padded_channels();
  const size_t pixel = static_cast<size_t>(y) * shape.out_width + x;
  const int32_t first = word * 64, count = std::min(64, shape.out_channels - first);
  uint64_t bits = 0;
  for (int32_t i = 0; i < count; ++i) {
    const int32_t m = first + i;
    const size_t index = pixel * shape.out_channels + m;
    bool fires = false;
    switch (epilogue.form) {
      case Form::sums:
        out.sums[index] = below ? epilogue.base[class_offset + m] - 2 * acc[i] : acc[i];
        continue;
      case Form::bits:
        fires = below ? acc[i] <= epilogue.limit[class_offset + m] : acc[i] >= epilogue.limit[class_offset + m];
        break;
      case Form::fixed: {
        const int32_t value = fixed_value(epilogue, out, epilogue.bias + class_offset, m, index, acc[i]);
        if (out.fixed != nullptr) store_fixed(out.fixed, epilogue.fixed, index, value);
        if (out.bits == nullptr) continue;
        fires = value >= epilogue.fire[m];
        break;
      }
    }
    bits |= static_cast<uint64_t>(inverted(epilogue, m, fires)) << i;
  }
  if (epilogue.form != Form::sums && out.bits != nullptr) out.bits[pixel * shape.out_words() + word] = bits;
}

}  // namespace flipflow
