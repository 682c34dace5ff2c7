// The part of the x86 integer kernels that needs no instruction set: which shapes, how large, and the padded input.
#include "kernels/x86_integer.h"

#include <algorithm>
#include <cstring>

#include "kernels/x86_integer_geometry.h"

namespace flipflow {
namespace x86_integer {
namespace {

constexpr int32_t kSlack = 4;  // numbers behind the map

// Bytes as unsigned numbers: int8 with 128 added, which inverts the highest bit.
struct ToBytes {
  using Stored = uint8_t;
  uint8_t flip;
  uint8_t operator()(uint8_t value) const { return value ^ flip; }
};

template <typename From>
struct ToShorts {
  using Stored = int16_t;
  int16_t operator()(From value) const { return static_cast<int16_t>(value); }
};

// Rows [begin, end) of the map in scratch; the border is what 0 becomes.
template <typename From, typename Convert>
void fill_rows(const Shape& s, const From* input, void* scratch, int32_t begin, int32_t end, Convert convert) {
  using Stored = typename Convert::Stored;
  const Geometry g = geometry(s, sizeof(Stored));
  const int32_t channels = s.in_channels, pad = s.pad_left;
  auto* to = static_cast<Stored*>(scratch) + static_cast<size_t>(begin) * g.columns * channels;
  const Stored border = convert(From{0});
  for (int32_t row = begin; row < end; ++row) {
    const int32_t y = row * g.step_y - s.pad_top;
    const bool inside = y >= 0 && y < s.in_height;
    // Columns [left, right) lie inside the input.
    const int32_t left = std::min(g.columns, inside ? (pad + g.step_x - 1) / g.step_x : g.columns);
    const int32_t right = inside ? std::clamp((s.in_width - 1 + pad) / g.step_x + 1, left, g.columns) : left;
    const size_t first = right > left ? static_cast<size_t>(y) * s.in_width + left * g.step_x - pad : 0;
    const From* from = input + first * channels;
    to = std::fill_n(to, static_cast<size_t>(left) * channels, border);
    const int32_t runs = g.step_x == 1 ? std::min(1, right - left) : right - left;
    const size_t run = static_cast<size_t>(g.step_x == 1 ? right - left : 1) * channels;
    for (int32_t i = 0; i < runs; ++i, from += static_cast<size_t>(g.step_x) * channels) {
      for (size_t k = 0; k < run; ++k) to[k] = convert(from[k]);
      to += run;
    }
    to = std::fill_n(to, static_cast<size_t>(g.columns - right) * channels, border);
  }
  if (end == g.rows) std::fill_n(to, kSlack, border);
}

size_t scratch(const Shape& s, int32_t number_bytes) {
  const Geometry g = geometry(s, number_bytes);
  return g.rows * g.row_bytes + static_cast<size_t>(kSlack) * number_bytes;
}

bool has_vnni() {
  static const bool has = __builtin_cpu_supports("avx512vnni");
  return has;
}

}  // namespace

bool accepts_bytes(const Shape& s) {
  return s.weights == Number::i8 && (s.input == Number::u8 || s.input == Number::i8);
}

bool accepts_shorts(const Shape& s) { return accepts_bytes(s) || (s.weights == Number::i8 && s.input == Number::i16); }

int32_t padded_rows(const Shape& s) { return geometry(s, 1).rows; }

size_t scratch_of_bytes(const Shape& s) { return scratch(s, 1); }
size_t scratch_of_shorts(const Shape& s) { return scratch(s, 2); }

void prepare_bytes(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const ToBytes convert{static_cast<uint8_t>(s.input == Number::i8 ? 0x80 : 0)};
  fill_rows(s, static_cast<const uint8_t*>(input), scratch, begin, end, convert);
}

void prepare_shorts(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  if (s.input == Number::u8) {
    fill_rows(s, static_cast<const uint8_t*>(input), scratch, begin, end, ToShorts<uint8_t>{});
  } else if (s.input == Number::i8) {
    fill_rows(s, static_cast<const int8_t*>(input), scratch, begin, end, ToShorts<int8_t>{});
  } else {
    fill_rows(s, static_cast<const int16_t*>(input), scratch, begin, end, ToShorts<int16_t>{});
  }
}

size_t scratch_best(const Shape& s) { return has_vnni() ? scratch_of_bytes(s) : scratch_of_shorts(s); }

void prepare_best(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  (has_vnni() ? prepare_bytes : prepare_shorts)(s, input, scratch, begin, end);
}

void run_best(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
              const Share& share) {
  (has_vnni() ? run_avx512vnni : run_avx512bw)(s, packed, scratch, epilogue, out, share);
}

}  // namespace x86_integer
}  // namespace flipflow
