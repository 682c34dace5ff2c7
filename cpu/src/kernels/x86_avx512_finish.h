// The epilogue of x86_lanes.h for both AVX-512 sets. Included once in each of their files.
#pragma once

#include "kernels/x86_avx512_lanes.h"
#include "kernels/x86_finish.h"

namespace flipflow {
namespace {

// Epilogue of one block of 64 channels. Counts come as Layout::lanes has its channels: with channel 16 L + i of the block, i < 16,
// in 16-bit lane 8 L + i % 8 of `low` where i < 8, else of `high`.
template <Form kForm>
class Finish512 : FinishBlock {
 public:
  Finish512(const Shape& s, const Epilogue& epilogue, const Outputs& out, int32_t first)
      : FinishBlock(kForm, s, epilogue, out, first), cached_(0) {
    if (kForm == Form::fixed && short_range()) cache_channels();
  }

  // low, high: 16-bit counts.
  FLIPFLOW_INLINE void narrow(int32_t y, int32_t x, __m512i low, __m512i high) {
    if constexpr (kForm == Form::bits) {
      const __m512i* limit = by_class_[cached(y, x)];
      const uint32_t below = _mm512_cmple_epi16_mask(low, limit[0]);
      const uint32_t above = _mm512_cmple_epi16_mask(high, limit[1]);
      store_bits(y, x, _pdep_u64(below, kLowBytes) | _pdep_u64(above, ~kLowBytes));
      return;
    }
    if (kForm == Form::sums) return narrow_sums(y, x, low, high);
    if (lines_ == Lines::bytes) return fixed_bytes(y, x, low, high);
    if (lines_ == Lines::halves) return fixed_halves(y, x, low, high);
    alignas(64) int32_t acc[64];
    Vector512::store_counts(acc, low, high);
    wide(y, x, acc);
  }

  // acc: 64 counts.
  __attribute__((noinline)) void wide(int32_t y, int32_t x, const int32_t* acc) {
    switch (kForm) {
      case Form::sums: return sums(y, x, acc);
      case Form::bits: return bits(y, x, acc);
      default: return fixed(y, x, acc);
    }
  }

 private:
  static constexpr int32_t kClasses = 16;  // that are kept: a 3x3 window has 9
  static constexpr uint64_t kLowBytes = 0x00ff00ff00ff00ff;

  // Four masks in a row. They are joined as masks: g++ 12 at times spills a 16-bit mask that is to be widened as two bytes, and reads
  // eight back.
  static FLIPFLOW_INLINE uint64_t joined(const __mmask16* masks) {
    return _mm512_kunpackd(_mm512_kunpackw(masks[3], masks[2]), _mm512_kunpackw(masks[1], masks[0]));
  }

  FLIPFLOW_INLINE __mmask16 used(int part) const { return static_cast<__mmask16>(used_ >> (16 * part)); }
  FLIPFLOW_INLINE bool all_used() const { return used_ == ~uint64_t{0}; }

  // 32 numbers in order, cut to 16 bits.
  static FLIPFLOW_INLINE __m512i saturated(const int32_t* from) {
    const __m256i a = _mm512_cvtsepi32_epi16(_mm512_loadu_si512(from));
    const __m256i b = _mm512_cvtsepi32_epi16(_mm512_loadu_si512(from + 16));
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
  }

  // Place in by_class_ of a pixel's class; put there if it is new. The classes beyond kClasses share one place.
  FLIPFLOW_INLINE int32_t cached(int32_t y, int32_t x) {
    const int32_t k = epilogue_.row_class[y] + epilogue_.column_class[x], place = least(k, kClasses);
    if (__builtin_expect((cached_ >> place & 1) == 0, 0)) {
      if (k < kClasses) cached_ |= 1u << place;
      kForm == Form::bits ? cache_limits(k * words_ * 64 + first_, by_class_[place])
                          : cache_biases(k * words_ * 64 + first_, by_class_[place]);
    }
    return place;
  }

  __attribute__((noinline)) void cache_limits(int32_t offset, __m512i* to) const {
    const __m512i a = saturated(epilogue_.limit + offset), b = saturated(epilogue_.limit + offset + 32);
    to[0] = _mm512_shuffle_i64x2(a, b, 0x88);
    to[1] = _mm512_shuffle_i64x2(a, b, 0xdd);
  }

  FLIPFLOW_INLINE void narrow_sums(int32_t y, int32_t x, __m512i low, __m512i high) const {
    const int32_t* base = epilogue_.base + class_offset(y, x);
    int32_t* to = out_.sums + pixel(y, x) * channels_ + first_;
    __m512i halves[2];
    Vector512::in_order(_mm512_add_epi16(low, low), _mm512_add_epi16(high, high), halves);
    FLIPFLOW_UNROLL
    for (int i = 0; i < 4; ++i) {
      const __m512i sum = _mm512_sub_epi32(_mm512_loadu_si512(base + 16 * i), Vector512::widened(halves, i));
      if (all_used()) _mm512_storeu_si512(to + 16 * i, sum);
      else if (used(i) != 0) _mm512_mask_storeu_epi32(to + 16 * i, used(i), sum);
    }
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
    __mmask16 fires[4];
    FLIPFLOW_UNROLL
    for (int i = 0; i < 4; ++i) {
      const __m512i count = _mm512_load_si512(acc + 16 * i);
      fires[i] = _mm512_cmple_epi32_mask(count, _mm512_loadu_si512(limit + 16 * i));
    }
    store_bits(y, x, joined(fires));
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
    __mmask16 fires[4] = {};
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
      fires[i] = _mm512_cmpge_epi32_mask(value, _mm512_loadu_si512(epilogue_.fire + first_ + m));
    }
    if (out_.bits != nullptr) store_bits(y, x, joined(fires));
  }

  // --- form fixed in 16-bit lanes, where its ranges allow ---

  // Constants of 64 channels in the order of the 32-bit products: of the even and odd lanes of `low`, then of `high`.
  static FLIPFLOW_INLINE void by_products(const int32_t* from, __m512i* to) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i a = _mm512_loadu_si512(from), b = _mm512_loadu_si512(from + 16);
    const __m512i c = _mm512_loadu_si512(from + 32), d = _mm512_loadu_si512(from + 48);
    FLIPFLOW_UNROLL
    for (int k = 0; k < 2; ++k) {
      const __m512i order = _mm512_add_epi32(even, _mm512_set1_epi32(k));
      const __m512i ab = _mm512_permutex2var_epi32(a, order, b), cd = _mm512_permutex2var_epi32(c, order, d);
      to[k] = _mm512_shuffle_i64x2(ab, cd, 0x88);
      to[2 + k] = _mm512_shuffle_i64x2(ab, cd, 0xdd);
    }
  }

  void cache_channels() {
    Channels channels;
    read_channels(channels);
    by_products(channels.slope, slope_);
    by_products(channels.shift, shift_);
    by_products(channels.spare, spare_);
    for (int k = 0; k < 4 && short_slope_; ++k) {
      slope_[k] = k % 2 == 0 ? _mm512_and_si512(slope_[k], _mm512_set1_epi32(0xffff)) : _mm512_slli_epi32(slope_[k], 16);
    }
    cache_fire(channels.fire, lines_ == Lines::bytes);
  }

  void cache_fire(const int32_t* fire, bool bytes) {
    if (!bytes) {
      fire_[0] = saturated(fire), fire_[1] = saturated(fire + 32);
      return;
    }
    alignas(64) uint8_t cut[64];
    for (int i = 0; i < 64; ++i) cut[i] = static_cast<uint8_t>(fire[i]);
    fire_[0] = _mm512_load_si512(cut);
  }

  __attribute__((noinline)) void cache_biases(int32_t offset, __m512i* to) const {
    by_products(epilogue_.bias + offset, to);
    for (int k = 0; k < 4; ++k) to[k] = _mm512_srav_epi32(to[k], spare_[k]);
  }

  // (bias + slope * count) >> shift of every other channel
  FLIPFLOW_INLINE __m512i scaled(__m512i counts, const __m512i* bias, int k) const {
    __m512i value;
    if (short_slope_) {
#if defined(__AVX512VNNI__)
      value = _mm512_dpwssd_epi32(bias[k], counts, slope_[k]);
#else
      value = _mm512_add_epi32(_mm512_madd_epi16(counts, slope_[k]), bias[k]);
#endif
    } else {
      const __m512i count = k % 2 == 0 ? _mm512_and_si512(counts, _mm512_set1_epi32(0xffff)) : _mm512_srli_epi32(counts, 16);
      value = _mm512_add_epi32(_mm512_mullo_epi32(count, slope_[k]), bias[k]);
    }
    return _mm512_srav_epi32(value, shift_[k]);
  }

  // 16-bit lanes: of every eight channels of `counts`, the even ones first.
  FLIPFLOW_INLINE __m512i lines(__m512i counts, const __m512i* bias, int k) const {
    return _mm512_packs_epi32(scaled(counts, bias, 2 * k), scaled(counts, bias, 2 * k + 1));
  }

  // Bounds beyond 16 bits cannot matter.
  static FLIPFLOW_INLINE __m512i clamped(__m512i x, int32_t low, int32_t high) {
    const __m512i floor = _mm512_set1_epi16(static_cast<int16_t>(low < -32768 ? -32768 : low));
    return _mm512_min_epi16(_mm512_max_epi16(x, floor), _mm512_set1_epi16(static_cast<int16_t>(least(high, 32767))));
  }
  template <bool kSigned>
  static FLIPFLOW_INLINE __m512i clamped_bytes(__m512i x, int32_t low, int32_t high) {
    const __m512i a = _mm512_set1_epi8(static_cast<char>(low)), b = _mm512_set1_epi8(static_cast<char>(high));
    return kSigned ? _mm512_min_epi8(_mm512_max_epi8(x, a), b) : _mm512_min_epu8(_mm512_max_epu8(x, a), b);
  }

  FLIPFLOW_INLINE void fixed_bytes(int32_t y, int32_t x, __m512i low, __m512i high) {
    const __m512i* bias = by_class_[cached(y, x)];
    epilogue_.fixed == Number::i8 ? bytes<true>(y, x, bias, low, high) : bytes<false>(y, x, bias, low, high);
  }

  // Saturation does the clamping, but for narrower ranges.
  template <bool kSigned>
  FLIPFLOW_INLINE void bytes(int32_t y, int32_t x, const __m512i* bias, __m512i low, __m512i high) const {
    const size_t index = pixel(y, x) * channels_ + first_;
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
    const __m512i a = lines(low, bias, 0), b = lines(high, bias, 1);
    __m512i value = _mm512_shuffle_epi8(kSigned ? _mm512_packs_epi16(a, b) : _mm512_packus_epi16(a, b), order);
    if (clamp_q_) value = clamped_bytes<kSigned>(value, epilogue_.q_min, epilogue_.q_max);
    if (out_.residual != nullptr) {
      const auto* from = static_cast<const uint8_t*>(out_.residual) + index;
      const __m512i residual = all_used() ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(used_, from);
      value = kSigned ? _mm512_adds_epi8(value, residual) : _mm512_adds_epu8(value, residual);
      if (clamp_r_) value = clamped_bytes<kSigned>(value, epilogue_.r_min, epilogue_.r_max);
    }
    if (out_.fixed != nullptr) {
      auto* to = static_cast<uint8_t*>(out_.fixed) + index;
      all_used() ? _mm512_storeu_si512(to, value) : _mm512_mask_storeu_epi8(to, used_, value);
    }
    if (out_.bits == nullptr) return;
    const uint64_t fires = kSigned ? _mm512_cmpge_epi8_mask(value, fire_[0]) : _mm512_cmpge_epu8_mask(value, fire_[0]);
    store_bits(y, x, fires & possible_);
  }

  FLIPFLOW_INLINE __m512i short_residual(size_t index, __mmask32 mask) const {
    if (epilogue_.fixed == Number::i16) {
      return _mm512_maskz_loadu_epi16(mask, static_cast<const int16_t*>(out_.residual) + index);
    }
    const __m256i bytes = _mm256_maskz_loadu_epi8(mask, static_cast<const uint8_t*>(out_.residual) + index);
    return epilogue_.fixed == Number::u8 ? _mm512_cvtepu8_epi16(bytes) : _mm512_cvtepi8_epi16(bytes);
  }

  FLIPFLOW_INLINE __m512i short_value(__m512i value, int half, size_t index) const {
    value = clamped(value, epilogue_.q_min, epilogue_.q_max);
    if (out_.residual == nullptr) return value;
    value = _mm512_adds_epi16(value, short_residual(index + 32 * half, static_cast<__mmask32>(used_ >> (32 * half))));
    return clamped(value, epilogue_.r_min, epilogue_.r_max);
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

  __attribute__((noinline)) void fixed_halves(int32_t y, int32_t x, __m512i low, __m512i high) {
    const __m512i* bias = by_class_[cached(y, x)];
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    __m512i halves[2];
    Vector512::in_order(_mm512_shuffle_epi8(lines(low, bias, 0), order), _mm512_shuffle_epi8(lines(high, bias, 1), order),
                        halves);
    const size_t index = pixel(y, x) * channels_ + first_;
    const __m512i a = short_value(halves[0], 0, index), b = short_value(halves[1], 1, index);
    if (out_.fixed != nullptr) store_short(index, a, b);
    if (out_.bits == nullptr) return;
    const uint64_t fires = _mm512_kunpackd(_mm512_cmpge_epi16_mask(b, fire_[1]), _mm512_cmpge_epi16_mask(a, fire_[0]));
    store_bits(y, x, fires & possible_);
  }

  uint32_t cached_;  // classes in by_class_, one bit each
  __m512i by_class_[kClasses + 1][kForm == Form::fixed ? 4 : 2];  // limits of `low` and `high`, or biases
  __m512i slope_[4], shift_[4], spare_[4], fire_[2];
};

}  // namespace
}  // namespace flipflow
