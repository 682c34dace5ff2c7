// A case of kernel_test_case.h as kernels want it: maps, weights and constants in guarded memory.
#pragma once

#include <cstring>
#include <vector>

#include "kernel_test_case.h"
#include "kernel_test_guard.h"

namespace flipflow::test {

inline size_t size_of(Number number) { return number == Number::i16 ? 2 : number == Number::i32 ? 4 : 1; }

inline void store(void* map, Number number, size_t index, int64_t value) {
  if (size_of(number) == 2) static_cast<int16_t*>(map)[index] = static_cast<int16_t>(value);
  else static_cast<unsigned char*>(map)[index] = static_cast<unsigned char>(value & 0xff);
}

inline int64_t load(const void* map, Number number, size_t index) {
  if (size_of(number) == 2) return static_cast<const int16_t*>(map)[index];
  if (number == Number::u8) return static_cast<const unsigned char*>(map)[index];
  return static_cast<const signed char*>(map)[index];
}

inline size_t bytes_of(Number number, size_t pixels, int32_t channels) {
  return number == Number::bits ? pixels * ((channels + 63) / 64) * 8 : pixels * channels * size_of(number);
}

// Numbers [pixels][channels] as a map of `number`; +1 becomes a bit.
inline void encode(const std::vector<int32_t>& numbers, Number number, int32_t channels, Guarded& map) {
  const int32_t words = (channels + 63) / 64;
  if (number == Number::bits) std::memset(map.data(), 0, map.bytes());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t pixel = i / channels, k = i % channels;
    if (number != Number::bits) store(map.data(), number, i, numbers[i]);
    else if (numbers[i] > 0) map.as<uint64_t>()[pixel * words + k / 64] |= uint64_t{1} << (k % 64);
  }
}

inline int64_t floor_half(int64_t value) { return value / 2 - (value % 2 < 0 ? 1 : 0); }

// s of a class where no tap mismatches: K, and for a ternary border also what the kernel's -1 outside takes away.
inline int64_t base_of(const Case& c, int32_t klass, int32_t m) {
  const Shape& s = c.shape;
  int64_t base = c.fan_in();
  if (!c.ternary) return base;
  const int32_t columns = static_cast<int32_t>(c.class_x.size());
  const int32_t y = c.class_y[klass / columns], x = c.class_x[klass % columns];
  for (int32_t ky = 0; ky < s.kernel_height; ++ky)
    for (int32_t kx = 0; kx < s.kernel_width; ++kx) {
      const int32_t row = y * s.stride_height + ky - s.pad_top, column = x * s.stride_width + kx - s.pad_left;
      if (row >= 0 && row < s.in_height && column >= 0 && column < s.in_width) continue;
      const size_t w = m * c.fan_in() + (int64_t{ky} * s.kernel_width + kx) * s.in_channels;
      for (int32_t k = 0; k < s.in_channels; ++k) base += c.weights[w + k];
    }
  return base;
}

// The constants as the kernel wants them, in guarded vectors; entries past the last channel keep the sentinels.
struct Constants {
  Guarded row_class, column_class, base, limit, bias, slope, shift, fire, invert;
  Epilogue epilogue{};

  static size_t vectors(const Case& c, int32_t count) { return size_t{4} * count * c.shape.padded_channels(); }
  explicit Constants(const Case& c)
      : row_class(4 * c.row_class.size()), column_class(4 * c.column_class.size()), base(vectors(c, c.classes)),
        limit(vectors(c, c.classes)), bias(vectors(c, c.classes)), slope(vectors(c, 1)), shift(vectors(c, 1)),
        fire(vectors(c, 1)), invert(size_t{8} * c.shape.out_words()) {
    const int32_t channels = c.shape.out_channels;
    std::memcpy(row_class.data(), c.row_class.data(), row_class.bytes());
    std::memcpy(column_class.data(), c.column_class.data(), column_class.bytes());
    for (int32_t klass = 0; klass < c.classes; ++klass)
      for (int32_t m = 0; m < channels; ++m) {
        const int64_t at = int64_t{klass} * c.shape.padded_channels() + m, from = int64_t{klass} * channels + m;
        const int64_t full = c.binary ? base_of(c, klass, m) : 0, level = c.threshold[from];
        base.as<int32_t>()[at] = static_cast<int32_t>(full);
        limit.as<int32_t>()[at] = static_cast<int32_t>(c.binary ? floor_half(full - level) : level);
        bias.as<int32_t>()[at] = static_cast<int32_t>(c.bias[from] + c.slope[m] * full);
      }
    for (int32_t m = 0; m < channels; ++m) {
      slope.as<int32_t>()[m] = static_cast<int32_t>(c.slope[m] * (c.binary ? -2 : 1));
      shift.as<int32_t>()[m] = static_cast<int32_t>(c.shift[m]);
      fire.as<int32_t>()[m] = static_cast<int32_t>(c.fire[m]);
      if (m % 64 == 0) invert.as<uint64_t>()[m / 64] = 0;
      if (c.invert[m]) invert.as<uint64_t>()[m / 64] |= uint64_t{1} << (m % 64);
    }
    epilogue = {c.form, row_class.as<int32_t>(), column_class.as<int32_t>(), base.as<int32_t>(), limit.as<int32_t>(),
                bias.as<int32_t>(), slope.as<int32_t>(), shift.as<int32_t>(), fire.as<int32_t>(), invert.as<uint64_t>(),
                static_cast<int32_t>(c.q_min), static_cast<int32_t>(c.q_max), static_cast<int32_t>(c.r_min),
                static_cast<int32_t>(c.r_max), c.fixed};
  }
  bool intact() {
    bool good = true;
    for (Guarded* g : {&row_class, &column_class, &base, &limit, &bias, &slope, &shift, &fire, &invert}) good &= g->intact();
    return good;
  }
};

}  // namespace flipflow::test
