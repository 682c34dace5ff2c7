// Plain C++: the reference for every other instruction set, and the kernel for what they do not accept.
#include <algorithm>
#include <cstring>

#include "kernels/epilogue.h"
#include "kernels/kernels.h"

namespace flipflow {
namespace {

int32_t padded_rows(const Shape& s) { return (s.out_height - 1) * s.stride_height + s.kernel_height; }
int32_t padded_columns(const Shape& s) { return (s.out_width - 1) * s.stride_width + s.kernel_width; }

// --- binary ---

bool accepts_binary(const Shape&) { return true; }

size_t binary_scratch(const Shape& s) {
  return static_cast<size_t>(padded_rows(s)) * padded_columns(s) * s.in_words() * sizeof(uint64_t);
}

// The padded map; used bits of a border of ones are 1, unused ones 0.
void prepare_binary(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const int32_t words = s.in_words(), columns = padded_columns(s), used = s.in_channels % 64;
  const auto* from = static_cast<const uint64_t*>(input);
  auto* to = static_cast<uint64_t*>(scratch) + static_cast<size_t>(begin) * columns * words;
  for (int32_t row = begin; row < end; ++row) {
    for (int32_t column = 0; column < columns; ++column, to += words) {
      const int32_t y = row - s.pad_top, x = column - s.pad_left;
      if (y >= 0 && y < s.in_height && x >= 0 && x < s.in_width) {
        std::memcpy(to, from + (static_cast<size_t>(y) * s.in_width + x) * words, words * sizeof(uint64_t));
        continue;
      }
      const bool ones = s.border == Border::ones;
      std::fill(to, to + words, ones ? ~uint64_t{0} : uint64_t{0});
      if (ones && used != 0) to[words - 1] = (uint64_t{1} << used) - 1;
    }
  }
}

void run_binary(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
                const Share& share) {
  const int32_t words = s.in_words(), columns = padded_columns(s), row_words = s.kernel_width * words;
  const auto* map = static_cast<const uint64_t*>(scratch);
  const auto* weights = static_cast<const uint64_t*>(packed);
  for (int32_t first = share.channel_begin; first < share.channel_end; first += 64) {
    const int32_t count = std::min(64, s.out_channels - first);
    for (int32_t y = share.row_begin; y < share.row_end; ++y) {
      for (int32_t x = 0; x < s.out_width; ++x) {
        int32_t acc[64];
        for (int32_t i = 0; i < count; ++i) {
          const uint64_t* w = weights + static_cast<size_t>(first + i) * s.kernel_height * row_words;
          int32_t mismatches = 0;
          for (int32_t ky = 0; ky < s.kernel_height; ++ky, w += row_words) {
            const uint64_t* a = map + (static_cast<size_t>(y * s.stride_height + ky) * columns + x * s.stride_width) * words;
            for (int32_t k = 0; k < row_words; ++k) mismatches += __builtin_popcountll(a[k] ^ w[k]);
          }
          acc[i] = mismatches;
        }
        finish_word(s, epilogue, out, true, y, x, first / 64, acc);
      }
    }
  }
}

// --- integers: any input and weight type; scratch holds the padded map in int16 ---

bool accepts_integer(const Shape&) { return true; }

size_t integer_scratch(const Shape& s) {
  return static_cast<size_t>(padded_rows(s)) * padded_columns(s) * s.in_channels * sizeof(int16_t);
}

void prepare_integer(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const int32_t columns = padded_columns(s);
  auto* to = static_cast<int16_t*>(scratch) + static_cast<size_t>(begin) * columns * s.in_channels;
  for (int32_t row = begin; row < end; ++row) {
    for (int32_t column = 0; column < columns; ++column, to += s.in_channels) {
      const int32_t y = row - s.pad_top, x = column - s.pad_left;
      const bool inside = y >= 0 && y < s.in_height && x >= 0 && x < s.in_width;
      const size_t from = (static_cast<size_t>(y) * s.in_width + x) * s.in_channels;
      for (int32_t c = 0; c < s.in_channels; ++c) {
        to[c] = inside ? static_cast<int16_t>(load_fixed(input, s.input, from + c)) : int16_t{0};
      }
    }
  }
}

template <typename Weight>
int32_t dot(const int16_t* a, const Weight* w, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) sum += int32_t{a[i]} * w[i];
  return sum;
}

void run_integer(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
                 const Share& share) {
  const int32_t columns = padded_columns(s), row_size = s.kernel_width * s.in_channels;
  const auto* map = static_cast<const int16_t*>(scratch);
  for (int32_t first = share.channel_begin; first < share.channel_end; first += 64) {
    const int32_t count = std::min(64, s.out_channels - first);
    for (int32_t y = share.row_begin; y < share.row_end; ++y) {
      for (int32_t x = 0; x < s.out_width; ++x) {
        int32_t acc[64] = {};
        for (int32_t i = 0; i < count; ++i) {
          for (int32_t ky = 0; ky < s.kernel_height; ++ky) {
            const int16_t* a =
                map + (static_cast<size_t>(y * s.stride_height + ky) * columns + x * s.stride_width) * s.in_channels;
            const size_t w = (static_cast<size_t>(first + i) * s.kernel_height + ky) * row_size;
            acc[i] += s.weights == Number::i16 ? dot(a, static_cast<const int16_t*>(packed) + w, row_size)
                                               : dot(a, static_cast<const int8_t*>(packed) + w, row_size);
          }
        }
        finish_word(s, epilogue, out, false, y, x, first / 64, acc);
      }
    }
  }
}

// --- the limit: one 64-bit popcount a cycle is what most cores do ---

double limit(int64_t rounds) {
  uint64_t word = 0x9e3779b97f4a7c15;
  int64_t total = 0;
  for (int64_t i = 0; i < rounds; ++i) {
    for (int64_t k = 0; k < 16; ++k) total += __builtin_popcountll(word ^ static_cast<uint64_t>(i + k));
    asm volatile("" : "+r"(total));
  }
  return static_cast<double>(rounds) * 16 * 64;
}

bool supported() { return true; }

}  // namespace

const Kernels scalar_kernels = {
    "scalar",
    supported,
    {"binary/scalar", Layout::rows, accepts_binary, binary_scratch, padded_rows, prepare_binary, run_binary},
    {"integer/scalar", Layout::rows, accepts_integer, integer_scratch, padded_rows, prepare_integer, run_integer},
    limit,
};

}  // namespace flipflow
