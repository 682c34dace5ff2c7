// The 512-bit vectors and the epilogue of x86_lanes.h, for both AVX-512 sets. Included once in each of their files.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined vectors of its own headers for a mistake.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "kernels/x86_lanes.h"

namespace flipflow {
namespace {

// What needs nothing beyond AVX512F and BW.
struct Vector512 {
  using T = __m512i;
  static constexpr int kBytes = 64, kParts = 1;

  static FLIPFLOW_INLINE T zero() { return _mm512_setzero_si512(); }
  static FLIPFLOW_INLINE T load(const uint8_t* from) { return _mm512_load_si512(from); }
  static FLIPFLOW_INLINE T words(const uint8_t* from) {
    int32_t word;
    std::memcpy(&word, from, sizeof word);
    return _mm512_set1_epi32(word);
  }
  static FLIPFLOW_INLINE T exclusive(T a, T b) { return _mm512_xor_si512(a, b); }
  static FLIPFLOW_INLINE T sum8(T a, T b) { return _mm512_add_epi8(a, b); }
  // The carry of three bits of which x and y are two: where the sum differs from the old plane, x and y differ, and the plane
  // decides; else x does.
  static FLIPFLOW_INLINE T carry(T sum, T plane, T x) { return _mm512_ternarylogic_epi32(x, sum, plane, 0xb2); }
  static FLIPFLOW_INLINE T add(T& plane, T x, T y) {
    const T sum = _mm512_ternarylogic_epi32(y, x, plane, 0x96), out = carry(sum, plane, x);
    plane = sum;
    return out;
  }
  static FLIPFLOW_INLINE T add_parity(T& plane, T x, T a, T w) {
    const T sum = _mm512_ternarylogic_epi32(a, w, plane, 0x96), out = carry(sum, plane, x);
    plane = sum;
    return out;
  }
  // 16-bit counts of the low and of the high bytes: small + 32 * large.
  static FLIPFLOW_INLINE void widen(T small, T large, T& low, T& high) {
    const T low_byte = _mm512_set1_epi16(0xff);
    low = _mm512_add_epi16(_mm512_and_si512(small, low_byte), _mm512_slli_epi16(_mm512_and_si512(large, low_byte), 5));
    high = _mm512_add_epi16(_mm512_srli_epi16(small, 8),
                            _mm512_and_si512(_mm512_srli_epi16(large, 3), _mm512_set1_epi16(0xff << 5)));
  }
  static FLIPFLOW_INLINE void store_counts(int32_t* to, int, T low, T high) {
    _mm512_store_si512(to, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(low)));
    _mm512_store_si512(to + 16, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(low, 1)));
    _mm512_store_si512(to + 32, _mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)));
    _mm512_store_si512(to + 48, _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(high, 1)));
  }
};

// Bits of each byte by two look-ups, times 1 << weight.
FLIPFLOW_INLINE __m512i table_count(__m512i x, int weight) {
  const __m128i counts = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m512i table = _mm512_broadcast_i32x4(_mm_slli_epi16(counts, weight)), nibble = _mm512_set1_epi8(15);
  return _mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512(x, nibble)),
                         _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble)));
}

// Epilogue of one block of 64 channels.
class Finish512 {
 public:
  Finish512(const Shape& s, const Epilogue& epilogue, const Outputs& out, int32_t first)
      : epilogue_(epilogue), out_(out), first_(first), width_(s.out_width), channels_(s.out_channels),
        words_((s.out_channels + 63) / 64), cached_(-1), short_(false), short_slope_(true), possible_(0) {
    const int32_t count = least(64, s.out_channels - first);
    used_ = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    invert_ = epilogue.form == Form::sums ? 0 : epilogue.invert[first / 64];
    if (epilogue.form == Form::fixed && short_range()) cache_channels(count);
  }

  // low, high: one vector each, 16-bit counts.
  FLIPFLOW_INLINE void narrow(int32_t y, int32_t x, const __m512i* low, const __m512i* high) {
    if (epilogue_.form == Form::bits) {
      const int32_t offset = class_offset(y, x);
      if (offset != cached_) cache_limits(offset);
      const uint64_t below = _mm512_cmple_epi16_mask(low[0], limit_low_);
      const uint64_t above = _mm512_cmple_epi16_mask(high[0], limit_high_);
      store_bits(y, x, below | above << 32);
      return;
    }
    if (short_) return fixed_short(y, x, *low, *high);
    alignas(64) int32_t acc[64];
    Vector512::store_counts(acc, 0, *low, *high);
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
  FLIPFLOW_INLINE __mmask16 used(int part) const { return static_cast<__mmask16>(used_ >> (16 * part)); }

  FLIPFLOW_INLINE void store_bits(int32_t y, int32_t x, uint64_t fires) const {
    out_.bits[pixel(y, x) * words_ + first_ / 64] = (fires ^ invert_) & used_;
  }

  static FLIPFLOW_INLINE __m512i saturated(const int32_t* from) {
    const __m256i a = _mm512_cvtsepi32_epi16(_mm512_loadu_si512(from));
    const __m256i b = _mm512_cvtsepi32_epi16(_mm512_loadu_si512(from + 16));
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
  }

  void cache_limits(int32_t offset) {
    cached_ = offset;
    limit_low_ = saturated(epilogue_.limit + offset);
    limit_high_ = saturated(epilogue_.limit + offset + 32);
  }

  void sums(int32_t y, int32_t x, const int32_t* acc) const {
    const int32_t* base = epilogue_.base + class_offset(y, x);
    int32_t* to = out_.sums + pixel(y, x) * channels_ + first_;
    FLIPFLOW_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (used(i) == 0) break;
      const __m512i count = _mm512_load_si512(acc + 16 * i);
      const __m512i sum = _mm512_sub_epi32(_mm512_loadu_si512(base + 16 * i), _mm512_add_epi32(count, count));
      _mm512_mask_storeu_epi32(to + 16 * i, used(i), sum);
    }
  }

  void bits(int32_t y, int32_t x, const int32_t* acc) const {
    const int32_t* limit = epilogue_.limit + class_offset(y, x);
    uint64_t fires = 0;
    FLIPFLOW_UNROLL
    for (int i = 0; i < 4; ++i) {
      const __m512i count = _mm512_load_si512(acc + 16 * i);
      fires |= uint64_t{_mm512_cmple_epi32_mask(count, _mm512_loadu_si512(limit + 16 * i))} << (16 * i);
    }
    store_bits(y, x, fires);
  }

  FLIPFLOW_INLINE __m512i load_residual(size_t index, __mmask16 mask) const {
    if (epilogue_.fixed == Number::i16) {
      const auto* from = static_cast<const int16_t*>(out_.residual) + index;
      return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(mask, from));
    }
    const __m128i bytes = _mm_maskz_loadu_epi8(mask, static_cast<const uint8_t*>(out_.residual) + index);
    return epilogue_.fixed == Number::u8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
  }

  FLIPFLOW_INLINE void store_fixed(size_t index, __mmask16 mask, __m512i value) const {
    if (epilogue_.fixed == Number::i16) {
      _mm256_mask_storeu_epi16(static_cast<int16_t*>(out_.fixed) + index, mask, _mm512_cvtepi32_epi16(value));
    } else {
      _mm_mask_storeu_epi8(static_cast<uint8_t*>(out_.fixed) + index, mask, _mm512_cvtepi32_epi8(value));
    }
  }

  void fixed(int32_t y, int32_t x, const int32_t* acc) const {
    const int32_t* bias = epilogue_.bias + class_offset(y, x);
    const size_t index = pixel(y, x) * channels_ + first_;
    const __m512i q_min = _mm512_set1_epi32(epilogue_.q_min), q_max = _mm512_set1_epi32(epilogue_.q_max);
    const __m512i r_min = _mm512_set1_epi32(epilogue_.r_min), r_max = _mm512_set1_epi32(epilogue_.r_max);
    uint64_t fires = 0;
    FLIPFLOW_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (used(i) == 0) break;
      const int32_t m = 16 * i;
      const __m512i product = _mm512_mullo_epi32(_mm512_load_si512(acc + m), _mm512_loadu_si512(epilogue_.slope + first_ + m));
      __m512i value = _mm512_srav_epi32(_mm512_add_epi32(product, _mm512_loadu_si512(bias + m)),
                                        _mm512_loadu_si512(epilogue_.shift + first_ + m));
      value = _mm512_min_epi32(_mm512_max_epi32(value, q_min), q_max);
      if (out_.residual != nullptr) {
        value = _mm512_add_epi32(value, load_residual(index + m, used(i)));
        value = _mm512_min_epi32(_mm512_max_epi32(value, r_min), r_max);
      }
      if (out_.fixed != nullptr) store_fixed(index + m, used(i), value);
      if (out_.bits == nullptr) continue;
      fires |= uint64_t{_mm512_cmpge_epi32_mask(value, _mm512_loadu_si512(epilogue_.fire + first_ + m))} << m;
    }
    if (out_.bits != nullptr) store_bits(y, x, fires);
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

  // Constants of 32 channels in the order in which unpacking puts their counts: to[0] for the low halves, to[1] the high ones.
  static FLIPFLOW_INLINE void unpacked(const int32_t* from, __m512i* to) {
    const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 16);
    to[0] = _mm512_shuffle_i64x2(a, b, 0x88);
    to[1] = _mm512_shuffle_i64x2(a, b, 0xdd);
  }

  void cache_channels(int32_t count) {
    short_ = true;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t slope = epilogue_.slope[first_ + i];
      if (slope < -32768 || slope > 32767) short_slope_ = false;
      if (out_.bits != nullptr && epilogue_.fire[first_ + i] <= 32767) possible_ |= uint64_t{1} << i;
    }
    for (int half = 0; half < 2; ++half) {
      unpacked(epilogue_.slope + first_ + 32 * half, slope_ + 2 * half);
      unpacked(epilogue_.shift + first_ + 32 * half, shift_ + 2 * half);
      if (out_.bits != nullptr) fire_[half] = saturated(epilogue_.fire + first_ + 32 * half);
    }
  }

  // (bias + slope * count) >> shift
  FLIPFLOW_INLINE __m512i scaled(__m512i count, int part) const {
    const __m512i product = short_slope_ ? _mm512_madd_epi16(count, slope_[part]) : _mm512_mullo_epi32(count, slope_[part]);
    return _mm512_srav_epi32(_mm512_add_epi32(product, bias_[part]), shift_[part]);
  }

  FLIPFLOW_INLINE __m512i short_residual(size_t index, __mmask32 mask) const {
    if (epilogue_.fixed == Number::i16) {
      return _mm512_maskz_loadu_epi16(mask, static_cast<const int16_t*>(out_.residual) + index);
    }
    const __m256i bytes = _mm256_maskz_loadu_epi8(mask, static_cast<const uint8_t*>(out_.residual) + index);
    return epilogue_.fixed == Number::u8 ? _mm512_cvtepu8_epi16(bytes) : _mm512_cvtepi8_epi16(bytes);
  }

  FLIPFLOW_INLINE __m512i short_value(__m512i counts, int half, size_t index) const {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i a = scaled(_mm512_unpacklo_epi16(counts, zero), 2 * half);
    const __m512i b = scaled(_mm512_unpackhi_epi16(counts, zero), 2 * half + 1);
    __m512i value = clamped(_mm512_packs_epi32(a, b), epilogue_.q_min, epilogue_.q_max);
    if (out_.residual == nullptr) return value;
    value = _mm512_adds_epi16(value, short_residual(index + 32 * half, static_cast<__mmask32>(used_ >> (32 * half))));
    return clamped(value, epilogue_.r_min, epilogue_.r_max);
  }

  // Bounds beyond 16 bits cannot matter.
  static FLIPFLOW_INLINE __m512i clamped(__m512i x, int32_t low, int32_t high) {
    const __m512i floor = _mm512_set1_epi16(static_cast<int16_t>(low < -32768 ? -32768 : low));
    return _mm512_min_epi16(_mm512_max_epi16(x, floor), _mm512_set1_epi16(static_cast<int16_t>(least(high, 32767))));
  }

  FLIPFLOW_INLINE void store_short(size_t index, __m512i low, __m512i high) const {
    if (epilogue_.fixed == Number::i16) {
      auto* to = static_cast<int16_t*>(out_.fixed) + index;
      _mm512_mask_storeu_epi16(to, static_cast<__mmask32>(used_), low);
      if (used_ >> 32 != 0) _mm512_mask_storeu_epi16(to + 32, static_cast<__mmask32>(used_ >> 32), high);
      return;
    }
    const __m512i bytes = epilogue_.fixed == Number::u8 ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high);
    const __m512i in_order = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), bytes);
    _mm512_mask_storeu_epi8(static_cast<uint8_t*>(out_.fixed) + index, used_, in_order);
  }

  __attribute__((noinline)) void fixed_short(int32_t y, int32_t x, __m512i low, __m512i high) {
    const int32_t offset = class_offset(y, x);
    if (offset != cached_) {
      cached_ = offset;
      unpacked(epilogue_.bias + offset, bias_);
      unpacked(epilogue_.bias + offset + 32, bias_ + 2);
    }
    const size_t index = pixel(y, x) * channels_ + first_;
    const __m512i a = short_value(low, 0, index), b = short_value(high, 1, index);
    if (out_.fixed != nullptr) store_short(index, a, b);
    if (out_.bits == nullptr) return;
    const uint64_t fires = uint64_t{_mm512_cmpge_epi16_mask(a, fire_[0])} | uint64_t{_mm512_cmpge_epi16_mask(b, fire_[1])} << 32;
    store_bits(y, x, fires & possible_);
  }

  const Epilogue& epilogue_;
  const Outputs& out_;
  int32_t first_, width_, channels_, words_;
  uint64_t used_, invert_;
  int32_t cached_;  // class offset of the limits and biases below
  bool short_, short_slope_;
  uint64_t possible_;  // channels whose `fire` 16 bits can reach
  __m512i limit_low_, limit_high_;
  __m512i bias_[4], slope_[4], shift_[4], fire_[2];
};

}  // namespace
}  // namespace flipflow
