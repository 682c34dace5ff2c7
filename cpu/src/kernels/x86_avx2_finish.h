// The epilogue of x86_lanes.h for AVX2.
#pragma once

#include "kernels/x86_lanes.h"

namespace flipflow {
namespace {

FLIPFLOW_INLINE void store_words256(int32_t* to, __m128i counts) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepu16_epi32(counts));
}

// Part 0 has channels 0..15 and 32..47 of the block, part 1 the others.
FLIPFLOW_INLINE void store_counts256(int32_t* to, int part, __m256i low, __m256i high) {
  to += 16 * part;
  store_words256(to, _mm256_castsi256_si128(low));
  store_words256(to + 8, _mm256_extracti128_si256(low, 1));
  store_words256(to + 32, _mm256_castsi256_si128(high));
  store_words256(to + 40, _mm256_extracti128_si256(high, 1));
}

// Epilogue of one block of 64 channels.
class Finish256 {
 public:
  Finish256(const Shape& s, const Epilogue& epilogue, const Outputs& out, int32_t first)
      : epilogue_(epilogue), out_(out), first_(first), width_(s.out_width), channels_(s.out_channels),
        words_((s.out_channels + 63) / 64), count_(least(64, s.out_channels - first)), cached_(-1), short_(false),
        possible_(0) {
    used_ = count_ == 64 ? ~uint64_t{0} : (uint64_t{1} << count_) - 1;
    invert_ = epilogue.form == Form::sums ? 0 : epilogue.invert[first / 64];
    if (epilogue.form == Form::fixed && short_range()) cache_channels();
  }

  // low, high: 16-bit counts, two vectors each.
  FLIPFLOW_INLINE void narrow(int32_t y, int32_t x, const __m256i* low, const __m256i* high) {
    if (epilogue_.form == Form::bits) {
      const int32_t offset = class_offset(y, x);
      if (offset != cached_) cache_limits(offset);
      uint64_t above = 0;
      FLIPFLOW_UNROLL
      for (int part = 0; part < 2; ++part) {
        above |= word_mask(part, _mm256_cmpgt_epi16(low[part], limit_low_[part]),
                           _mm256_cmpgt_epi16(high[part], limit_high_[part]));
      }
      store_bits(y, x, ~above);
      return;
    }
    if (short_) return fixed_short(y, x, low, high);
    alignas(64) int32_t acc[64];
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) store_counts256(acc, part, low[part], high[part]);
    wide(y, x, acc);
  }

  // acc: 64 counts.
  __attribute__((noinline)) void wide(int32_t y, int32_t x, const int32_t* acc) {
    switch (epilogue_.form) {
      case Form::sums: return sums(y, x, acc);
      case Form::bits: return bits(y, x, acc);
      default: return fixed(y, x, acc);
    }
  }

 private:
  FLIPFLOW_INLINE int32_t class_offset(int32_t y, int32_t x) const {
    return (epilogue_.row_class[y] + epilogue_.column_class[x]) * words_ * 64 + first_;
  }
  FLIPFLOW_INLINE size_t pixel(int32_t y, int32_t x) const { return static_cast<size_t>(y) * width_ + x; }
  FLIPFLOW_INLINE void store_bits(int32_t y, int32_t x, uint64_t fires) const {
    out_.bits[pixel(y, x) * words_ + first_ / 64] = (fires ^ invert_) & used_;
  }
  static FLIPFLOW_INLINE __m256i load(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static FLIPFLOW_INLINE uint64_t signs(__m256i x) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(x)));
  }
  static FLIPFLOW_INLINE __m256i saturated(const int32_t* from) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(load(from), load(from + 8)), 0xd8);
  }

  // Bits of 64 channels from 16-bit lanes of ones or zeros.
  static FLIPFLOW_INLINE uint64_t word_mask(int part, __m256i low, __m256i high) {
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
    const auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(bytes));
    return (uint64_t{mask & 0xffff} | uint64_t{mask >> 16} << 32) << (16 * part);
  }

  void cache_limits(int32_t offset) {
    cached_ = offset;
    for (int part = 0; part < 2; ++part) {
      limit_low_[part] = saturated(epilogue_.limit + offset + 16 * part);
      limit_high_[part] = saturated(epilogue_.limit + offset + 32 + 16 * part);
    }
  }

  void sums(int32_t y, int32_t x, const int32_t* acc) const {
    const int32_t* base = epilogue_.base + class_offset(y, x);
    int32_t* to = out_.sums + pixel(y, x) * channels_ + first_;
    int32_t i = 0;
    for (; i + 8 <= count_; i += 8) {
      const __m256i count = load(acc + i), sum = _mm256_sub_epi32(load(base + i), _mm256_add_epi32(count, count));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), sum);
    }
    for (; i < count_; ++i) to[i] = base[i] - 2 * acc[i];
  }

  void bits(int32_t y, int32_t x, const int32_t* acc) const {
    const int32_t* limit = epilogue_.limit + class_offset(y, x);
    uint64_t above = 0;
    for (int i = 0; i < 64; i += 8) above |= signs(_mm256_cmpgt_epi32(load(acc + i), load(limit + i))) << i;
    store_bits(y, x, ~above);
  }

  // Eight residuals from `index` on, `count` of them in the map.
  FLIPFLOW_INLINE __m256i load_residual(size_t index, int32_t count) const {
    const size_t size = epilogue_.fixed == Number::i16 ? 2 : 1;
    const auto* from = static_cast<const uint8_t*>(out_.residual) + index * size;
    __m128i values = _mm_setzero_si128();
    if (count >= 8) {
      values = size == 2 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from))
                         : _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    } else {
      std::memcpy(&values, from, static_cast<size_t>(count) * size);
    }
    if (epilogue_.fixed == Number::i16) return _mm256_cvtepi16_epi32(values);
    return epilogue_.fixed == Number::u8 ? _mm256_cvtepu8_epi32(values) : _mm256_cvtepi8_epi32(values);
  }

  // Low halves or quarters of eight lanes; clamped before, or cut as a C cast does.
  FLIPFLOW_INLINE void store_fixed(size_t index, int32_t count, __m256i value) const {
    const size_t size = epilogue_.fixed == Number::i16 ? 2 : 1;
    auto* to = static_cast<uint8_t*>(out_.fixed) + index * size;
    const __m256i cut = _mm256_and_si256(value, _mm256_set1_epi32(size == 2 ? 0xffff : 0xff));
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(cut, cut), 0xd8);
    __m128i values = _mm256_castsi256_si128(halves);
    if (size == 1) values = _mm_packus_epi16(values, values);
    if (count < 8) {
      std::memcpy(to, &values, static_cast<size_t>(count) * size);
    } else if (size == 2) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), values);
    } else {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), values);
    }
  }

  void fixed(int32_t y, int32_t x, const int32_t* acc) const {
    const int32_t* bias = epilogue_.bias + class_offset(y, x);
    const size_t index = pixel(y, x) * channels_ + first_;
    const __m256i q_min = _mm256_set1_epi32(epilogue_.q_min), q_max = _mm256_set1_epi32(epilogue_.q_max);
    const __m256i r_min = _mm256_set1_epi32(epilogue_.r_min), r_max = _mm256_set1_epi32(epilogue_.r_max);
    uint64_t silent = 0;
    for (int32_t i = 0; i < count_; i += 8) {
      const int32_t m = first_ + i;
      const __m256i product = _mm256_mullo_epi32(load(acc + i), load(epilogue_.slope + m));
      __m256i value = _mm256_srav_epi32(_mm256_add_epi32(product, load(bias + i)), load(epilogue_.shift + m));
      value = _mm256_min_epi32(_mm256_max_epi32(value, q_min), q_max);
      if (out_.residual != nullptr) {
        value = _mm256_add_epi32(value, load_residual(index + i, count_ - i));
        value = _mm256_min_epi32(_mm256_max_epi32(value, r_min), r_max);
      }
      if (out_.fixed != nullptr) store_fixed(index + i, count_ - i, value);
      if (out_.bits != nullptr) silent |= signs(_mm256_cmpgt_epi32(load(epilogue_.fire + m), value)) << i;
    }
    if (out_.bits != nullptr) store_bits(y, x, ~silent);
  }

  // --- form fixed in 16-bit lanes, where its ranges allow ---

  // Whether q, and r in the maps, keep their values when saturated to 16 bits and to the maps' numbers.
  bool short_range() const {
    const bool residual = out_.residual != nullptr;
    const int32_t low = residual ? epilogue_.r_min : epilogue_.q_min, high = residual ? epilogue_.r_max : epilogue_.q_max;
    const int32_t least_stored = epilogue_.fixed == Number::u8 ? 0 : epilogue_.fixed == Number::i8 ? -128 : -32768;
    const int32_t most_stored = epilogue_.fixed == Number::u8 ? 255 : epilogue_.fixed == Number::i8 ? 127 : 32767;
    return epilogue_.q_min >= -32768 && epilogue_.q_max <= 32767 && low >= least_stored && high <= most_stored;
  }

  // Constants of 16 channels in the order in which unpacking puts their counts.
  static FLIPFLOW_INLINE void unpacked(const int32_t* from, __m256i* to) {
    const __m256i a = load(from), b = load(from + 8);
    to[0] = _mm256_permute2x128_si256(a, b, 0x20);
    to[1] = _mm256_permute2x128_si256(a, b, 0x31);
  }

  void cache_channels() {
    short_ = true;
    for (int32_t i = 0; i < count_ && out_.bits != nullptr; ++i) {
      if (epilogue_.fire[first_ + i] <= 32767) possible_ |= uint64_t{1} << i;
    }
    for (int group = 0; group < 4; ++group) {
      unpacked(epilogue_.slope + first_ + 16 * group, slope_ + 2 * group);
      unpacked(epilogue_.shift + first_ + 16 * group, shift_ + 2 * group);
      if (out_.bits != nullptr) fire_[group] = saturated(epilogue_.fire + first_ + 16 * group);
    }
  }

  FLIPFLOW_INLINE __m256i scaled(__m256i count, int part) const {
    return _mm256_srav_epi32(_mm256_add_epi32(_mm256_mullo_epi32(count, slope_[part]), bias_[part]), shift_[part]);
  }

  // Bounds beyond 16 bits cannot matter.
  static FLIPFLOW_INLINE __m256i clamped(__m256i x, int32_t low, int32_t high) {
    const __m256i floor = _mm256_set1_epi16(static_cast<int16_t>(low < -32768 ? -32768 : low));
    return _mm256_min_epi16(_mm256_max_epi16(x, floor), _mm256_set1_epi16(static_cast<int16_t>(least(high, 32767))));
  }

  FLIPFLOW_INLINE __m256i short_residual(size_t index, int32_t count) const {
    const size_t size = epilogue_.fixed == Number::i16 ? 2 : 1;
    const auto* from = static_cast<const uint8_t*>(out_.residual) + index * size;
    alignas(32) uint8_t tail[32] = {};
    if (count < 16) {
      std::memcpy(tail, from, static_cast<size_t>(count) * size);
      from = tail;
    }
    if (size == 2) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return epilogue_.fixed == Number::u8 ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
  }

  FLIPFLOW_INLINE void store_short(size_t index, int32_t count, __m256i value) const {
    const size_t size = epilogue_.fixed == Number::i16 ? 2 : 1;
    auto* to = static_cast<uint8_t*>(out_.fixed) + index * size;
    if (size == 1) {
      const __m256i zero = _mm256_setzero_si256();
      value = epilogue_.fixed == Number::u8 ? _mm256_packus_epi16(value, zero) : _mm256_packs_epi16(value, zero);
      value = _mm256_permute4x64_epi64(value, 0xd8);
    }
    if (count < 16) {
      std::memcpy(to, &value, static_cast<size_t>(count) * size);
    } else if (size == 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
    } else {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(value));
    }
  }

  // 16 channels from 16 * group on; ones where `fire` is above the value.
  FLIPFLOW_INLINE __m256i short_group(__m256i counts, int group, size_t index) const {
    const __m256i zero = _mm256_setzero_si256();
    const int32_t rest = count_ - 16 * group;
    if (rest <= 0) return zero;
    const __m256i a = scaled(_mm256_unpacklo_epi16(counts, zero), 2 * group);
    const __m256i b = scaled(_mm256_unpackhi_epi16(counts, zero), 2 * group + 1);
    __m256i value = clamped(_mm256_packs_epi32(a, b), epilogue_.q_min, epilogue_.q_max);
    index += 16 * group;
    if (out_.residual != nullptr) {
      value = clamped(_mm256_adds_epi16(value, short_residual(index, rest)), epilogue_.r_min, epilogue_.r_max);
    }
    if (out_.fixed != nullptr) store_short(index, rest, value);
    return out_.bits == nullptr ? zero : _mm256_cmpgt_epi16(fire_[group], value);
  }

  __attribute__((noinline)) void fixed_short(int32_t y, int32_t x, const __m256i* low, const __m256i* high) {
    const int32_t offset = class_offset(y, x);
    if (offset != cached_) {
      cached_ = offset;
      for (int group = 0; group < 4; ++group) unpacked(epilogue_.bias + offset + 16 * group, bias_ + 2 * group);
    }
    const size_t index = pixel(y, x) * channels_ + first_;
    uint64_t silent = 0;
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) {
      const __m256i a = short_group(low[part], part, index), b = short_group(high[part], part + 2, index);
      silent |= word_mask(part, a, b);
    }
    if (out_.bits != nullptr) store_bits(y, x, ~silent & possible_);
  }

  const Epilogue& epilogue_;
  const Outputs& out_;
  int32_t first_, width_, channels_, words_, count_;
  uint64_t used_, invert_;
  int32_t cached_;  // class offset of the limits and biases below
  bool short_;
  uint64_t possible_;  // channels whose `fire` 16 bits can reach
  __m256i limit_low_[2], limit_high_[2];
  __m256i bias_[8], slope_[8], shift_[8], fire_[4];
};

}  // namespace
}  // namespace flipflow
