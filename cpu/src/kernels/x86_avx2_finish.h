// The epilogue of binary convolutions with AVX2.
#pragma once

#include "kernels/x86_avx2_fixed.h"

namespace flipflow {
namespace {

// Counts come as Layout::lanes has its channels: of 32 channels, low has 0..7 and 16..23, high the others. Eight of them, as 32-bit
// numbers in order.
FLIPFLOW_INLINE __m256i eight_counts(__m256i low, __m256i high, int group) {
  const __m256i from = group % 2 == 0 ? low : high;
  return _mm256_cvtepu16_epi32(group < 2 ? _mm256_castsi256_si128(from) : _mm256_extracti128_si256(from, 1));
}

FLIPFLOW_INLINE void store_counts256(int32_t* to, int part, __m256i low, __m256i high) {
  FLIPFLOW_UNROLL
  for (int group = 0; group < 4; ++group) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + 32 * part + 8 * group), eight_counts(low, high, group));
  }
}

// Epilogue of one block of 64 channels.
template <Form kForm>
class Finish256 : FixedLanes256 {
 public:
  Finish256(const Shape& s, const Epilogue& epilogue, const Outputs& out, int32_t first)
      : FixedLanes256(kForm, s, epilogue, out, first) {
    if (kForm == Form::fixed && short_range()) cache_channels();
  }

  // low, high: 16-bit counts, two vectors each.
  FLIPFLOW_INLINE void narrow(int32_t y, int32_t x, const __m256i* low, const __m256i* high) {
    if constexpr (kForm == Form::bits) {
      const int32_t offset = class_offset(y, x);
      if (offset != cached_) cache_limits(offset);
      uint64_t above = 0;
      FLIPFLOW_UNROLL
      for (int part = 0; part < 2; ++part) {
        above |= word_mask(part, _mm256_packs_epi16(_mm256_cmpgt_epi16(low[part], limit_low_[part]),
                                                    _mm256_cmpgt_epi16(high[part], limit_high_[part])));
      }
      store_bits(y, x, ~above);
      return;
    }
    if (kForm == Form::sums && count_ == 64) return narrow_sums(y, x, low, high);
    if (lines_ == Lines::bytes) return fixed_bytes(y, x, low, high);
    if (lines_ == Lines::halves) return fixed_halves(y, x, low, high);
    alignas(64) int32_t acc[64];
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) store_counts256(acc, part, low[part], high[part]);
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
  static FLIPFLOW_INLINE uint64_t signs(__m256i x) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(x)));
  }
  void cache_limits(int32_t offset) {
    cached_ = offset;
    for (int part = 0; part < 2; ++part) {
      const __m256i a = saturated(epilogue_.limit + offset + 32 * part), b = saturated(epilogue_.limit + offset + 32 * part + 16);
      limit_low_[part] = _mm256_permute2x128_si256(a, b, 0x20);
      limit_high_[part] = _mm256_permute2x128_si256(a, b, 0x31);
    }
  }

  FLIPFLOW_INLINE void narrow_sums(int32_t y, int32_t x, const __m256i* low, const __m256i* high) const {
    const int32_t* base = epilogue_.base + class_offset(y, x);
    int32_t* to = out_.sums + pixel(y, x) * channels_ + first_;
    FLIPFLOW_UNROLL
    for (int i = 0; i < 8; ++i) {
      const __m256i twice_low = _mm256_add_epi16(low[i / 4], low[i / 4]), twice_high = _mm256_add_epi16(high[i / 4], high[i / 4]);
      const __m256i sum = _mm256_sub_epi32(load(base + 8 * i), eight_counts(twice_low, twice_high, i % 4));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8 * i), sum);
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

  __m256i limit_low_[2], limit_high_[2];
};

}  // namespace
}  // namespace flipflow
