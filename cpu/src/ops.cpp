#include "ops.h"

#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace flipflow {
namespace {

// Calls body with a null pointer of the number's C++ type, so that each type gets a loop of its own.
template <typename Body>
void with_type(Number number, const Body& body) {
  switch (number) {
    case Number::u8: return body(static_cast<uint8_t*>(nullptr));
    case Number::i8: return body(static_cast<int8_t*>(nullptr));
    case Number::i16: return body(static_cast<int16_t*>(nullptr));
    default: return body(static_cast<int32_t*>(nullptr));
  }
}

bool bit(const uint64_t* words, int32_t c) { return (words[c / 64] >> (c % 64) & 1) != 0; }

// 64 bytes of 0 or 1 to a word: the multiplication gathers the lowest bits of eight bytes in the highest byte.
uint64_t gather(const uint8_t (&flags)[64]) {
  uint64_t word = 0;
  for (int32_t i = 0; i < 8; ++i) {
    uint64_t eight;
    std::memcpy(&eight, flags + 8 * i, 8);
    word |= (eight * 0x0102040810204080u >> 56) << (8 * i);
  }
  return word;
}

// The part of a window inside the map, [first, last) in both directions, for one output position.
struct Inside {
  int32_t y_first, y_last, x_first, x_last;
};

Inside inside(const View& in, const Window& w, int32_t y, int32_t x) {
  const int32_t top = y * w.stride_height - w.pad_top, left = x * w.stride_width - w.pad_left;
  return {std::max(top, 0), std::min(top + w.kernel_height, in.height), std::max(left, 0), std::min(left + w.kernel_width, in.width)};
}

template <typename T, typename Combine>
void pool_pixel(const T* map, const View& in, const Inside& at, T* out, const Combine& combine) {
  const int32_t channels = in.channels;
  const T* first = map + (static_cast<size_t>(at.y_first) * in.width + at.x_first) * channels;
  std::copy(first, first + channels, out);
  for (int32_t y = at.y_first; y < at.y_last; ++y) {
    const T* from = map + (static_cast<size_t>(y) * in.width + at.x_first) * channels;
    for (int32_t x = at.x_first; x < at.x_last; ++x, from += channels) {
      for (int32_t c = 0; c < channels; ++c) out[c] = combine(c, out[c], from[c]);
    }
  }
}

// `combine`: (channel, so far, next) to the new value.
template <typename Combine>
void pool_map(const View& in, const Window& window, void* out, int32_t begin, int32_t end, const Combine& combine) {
  with_type(in.number, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for (int32_t y = begin; y < end; ++y) {
      for (int32_t x = 0; x < window.out_width; ++x) {
        T* to = static_cast<T*>(out) + (static_cast<size_t>(y) * window.out_width + x) * in.channels;
        pool_pixel(static_cast<const T*>(in.data), in, inside(in, window, y, x), to, combine);
      }
    }
  });
}

template <typename T, typename Sum>
void sum_pixel(const T* map, const View& in, const Inside& at, Sum* out) {
  const int32_t channels = in.channels;
  std::fill(out, out + channels, Sum{0});
  for (int32_t y = at.y_first; y < at.y_last; ++y) {
    const T* from = map + (static_cast<size_t>(y) * in.width + at.x_first) * channels;
    for (int32_t x = at.x_first; x < at.x_last; ++x, from += channels) {
      for (int32_t c = 0; c < channels; ++c) out[c] = static_cast<Sum>(out[c] + from[c]);
    }
  }
}

// Number of levels[0..count) that are <= value: halving without branches, since values come in no order.
int32_t reached(const int32_t* levels, int32_t count, int32_t value) {
  const int32_t* base = levels;
  while (count > 1) {
    const int32_t half = count / 2;
    base += base[half - 1] <= value ? half : 0;
    count -= half;
  }
  return static_cast<int32_t>(base - levels) + (*base <= value ? 1 : 0);
}

// Maps each number of rows [begin, end) of a map to one of another type: body(channel, value).
template <typename Body>
void map_numbers(const View& in, Number number, void* out, int32_t begin, int32_t end, const Body& body) {
  with_type(in.number, [&](auto* in_type) {
    using T = std::remove_pointer_t<decltype(in_type)>;
    with_type(number, [&](auto* out_type) {
      using U = std::remove_pointer_t<decltype(out_type)>;
      const size_t first = static_cast<size_t>(begin) * in.width, last = static_cast<size_t>(end) * in.width;
      for (size_t pixel = first; pixel < last; ++pixel) {
        const T* values = static_cast<const T*>(in.data) + pixel * in.channels;
        U* results = static_cast<U*>(out) + pixel * in.channels;
        for (int32_t c = 0; c < in.channels; ++c) results[c] = static_cast<U>(body(c, values[c]));
      }
    });
  });
}

#if defined(__x86_64__)
// threshold_bits of 8-bit numbers in whole words of 64 channels. A value reaches the threshold where it is the larger of both.
__attribute__((target("avx2"))) void threshold_bytes(const View& in, const Fires& fires, uint64_t* out, size_t first, size_t last) {
  const int32_t words = in.words();
  const bool is_signed = in.number == Number::i8;
  for (size_t pixel = first; pixel < last; ++pixel) {
    for (int32_t word = 0; word < words; ++word) {
      const auto* values = static_cast<const __m256i*>(in.data) + (pixel * words + word) * 2;
      const auto* threshold = static_cast<const __m256i*>(fires.threshold) + word * 2;
      uint64_t reached = 0;
      for (int32_t half = 0; half < 2; ++half) {
        const __m256i a = _mm256_loadu_si256(values + half), b = _mm256_loadu_si256(threshold + half);
        const __m256i same = _mm256_cmpeq_epi8(is_signed ? _mm256_max_epi8(a, b) : _mm256_max_epu8(a, b), a);
        reached |= uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(same))} << (32 * half);
      }
      out[pixel * words + word] = (reached & fires.reachable[word]) ^ fires.invert[word];
    }
  }
}

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}
#endif

}  // namespace

void threshold_bits(const View& in, const Fires& fires, uint64_t* out, int32_t begin, int32_t end) {
  const int32_t words = in.words();
#if defined(__x86_64__)
  if ((in.number == Number::i8 || in.number == Number::u8) && in.channels % 64 == 0 && has_avx2()) {
    return threshold_bytes(in, fires, out, static_cast<size_t>(begin) * in.width, static_cast<size_t>(end) * in.width);
  }
#endif
  with_type(in.number, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const size_t first = static_cast<size_t>(begin) * in.width, last = static_cast<size_t>(end) * in.width;
    for (size_t pixel = first; pixel < last; ++pixel) {
      const T* values = static_cast<const T*>(in.data) + pixel * in.channels;
      const T* threshold = static_cast<const T*>(fires.threshold);
      for (int32_t word = 0; word < words; ++word, values += 64, threshold += 64) {
        const int32_t count = std::min(64, in.channels - word * 64);
        uint8_t flags[64];
        if (count == 64) {  // a constant number of steps, which compilers unroll
          for (int32_t i = 0; i < 64; ++i) flags[i] = values[i] >= threshold[i] ? 1 : 0;
        } else {
          std::memset(flags, 0, sizeof flags);
          for (int32_t i = 0; i < count; ++i) flags[i] = values[i] >= threshold[i] ? 1 : 0;
        }
        out[pixel * words + word] = (gather(flags) & fires.reachable[word]) ^ fires.invert[word];
      }
    }
  });
}

void threshold_ints(const View& in, const Steps& steps, Number number, void* out, int32_t begin, int32_t end) {
  const int32_t count = steps.maximum - steps.minimum;
  map_numbers(in, number, out, begin, end, [&](int32_t c, int32_t value) {
    const int32_t passed = reached(steps.levels + static_cast<size_t>(c) * count, count, value);
    return bit(steps.invert, c) ? steps.maximum - passed : steps.minimum + passed;
  });
}

void fixed_ints(const View& in, const Lines& lines, Number number, void* out, int32_t begin, int32_t end) {
  map_numbers(in, number, out, begin, end, [&](int32_t c, int32_t value) {
    return std::clamp((lines.bias[c] + lines.slope[c] * value) >> lines.shift[c], lines.low, lines.high);
  });
}

void add(const View& a, const View& b, int32_t low, int32_t high, Number number, void* out, int32_t begin, int32_t end) {
  const size_t row = static_cast<size_t>(a.width) * a.channels;
  with_type(a.number, [&](auto* a_type) {
    using A = std::remove_pointer_t<decltype(a_type)>;
    with_type(b.number, [&](auto* b_type) {
      using B = std::remove_pointer_t<decltype(b_type)>;
      with_type(number, [&](auto* out_type) {
        using U = std::remove_pointer_t<decltype(out_type)>;
        const A* left = static_cast<const A*>(a.data);
        const B* right = static_cast<const B*>(b.data);
        for (size_t i = begin * row; i < end * row; ++i) {
          static_cast<U*>(out)[i] = static_cast<U>(std::clamp(int32_t{left[i]} + int32_t{right[i]}, low, high));
        }
      });
    });
  });
}

void bit_pool(const View& in, const Window& window, const uint64_t* invert, uint64_t* out, int32_t begin, int32_t end) {
  const int32_t words = in.words();
  const auto* map = static_cast<const uint64_t*>(in.data);
  for (int32_t y = begin; y < end; ++y) {
    for (int32_t x = 0; x < window.out_width; ++x) {
      const Inside at = inside(in, window, y, x);
      uint64_t* to = out + (static_cast<size_t>(y) * window.out_width + x) * words;
      for (int32_t word = 0; word < words; ++word) {
        uint64_t any = 0;  // AND of a channel is the OR of its complement, complemented
        for (int32_t v = at.y_first; v < at.y_last; ++v) {
          const uint64_t* from = map + (static_cast<size_t>(v) * in.width + at.x_first) * words + word;
          for (int32_t u = at.x_first; u < at.x_last; ++u, from += words) any |= *from ^ invert[word];
        }
        to[word] = any ^ invert[word];
      }
    }
  }
}

void int_pool(const View& in, const Window& window, const uint64_t* invert, void* out, int32_t begin, int32_t end) {
  if (std::all_of(invert, invert + in.words(), [](uint64_t word) { return word == 0; })) {
    return pool_map(in, window, out, begin, end, [](int32_t, auto a, auto b) { return std::max(a, b); });
  }
  pool_map(in, window, out, begin, end, [&](int32_t c, auto a, auto b) { return bit(invert, c) ? std::min(a, b) : std::max(a, b); });
}

void sum_pool(const View& in, const Window& window, Number number, void* out, int32_t begin, int32_t end) {
  with_type(in.number, [&](auto* in_type) {
    using T = std::remove_pointer_t<decltype(in_type)>;
    for (int32_t y = begin; y < end; ++y) {
      for (int32_t x = 0; x < window.out_width; ++x) {
        const size_t to = (static_cast<size_t>(y) * window.out_width + x) * in.channels;
        const Inside at = inside(in, window, y, x);
        if (number == Number::i16) {
          sum_pixel(static_cast<const T*>(in.data), in, at, static_cast<int16_t*>(out) + to);
        } else {
          sum_pixel(static_cast<const T*>(in.data), in, at, static_cast<int32_t*>(out) + to);
        }
      }
    }
  });
}

}  // namespace flipflow
