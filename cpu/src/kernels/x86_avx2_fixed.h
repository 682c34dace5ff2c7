// Form fixed of binary convolutions with AVX2, where its ranges allow 16-bit lanes.
#pragma once

#include "kernels/x86_finish.h"

namespace flipflow {
namespace {

class FixedLanes256 : protected FinishBlock {
 protected:
  FixedLanes256(Form form, const Shape& s, const Epilogue& epilogue, const Outputs& out, int32_t first)
      : FinishBlock(form, s, epilogue, out, first), cached_(-1) {}

  static FLIPFLOW_INLINE __m256i load(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static FLIPFLOW_INLINE __m256i saturated(const int32_t* from) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(load(from), load(from + 8)), 0xd8);
  }
  static FLIPFLOW_INLINE uint64_t word_mask(int part, __m256i bytes) {
    return uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(bytes))} << (32 * part);
  }

  // Constants of 64 channels in the order of the 32-bit products: for each part of the even and odd lanes of `low`, then of
  // `high`.
  static FLIPFLOW_INLINE void by_products(const int32_t* from, __m256i* to) {
    for (int k = 0; k < 4; ++k) {
      const int32_t* at = from + k / 2 * 32 + k % 2 * 8;
      const __m256 a = _mm256_castsi256_ps(_mm256_permute2x128_si256(load(at), load(at + 16), 0x20));
      const __m256 b = _mm256_castsi256_ps(_mm256_permute2x128_si256(load(at), load(at + 16), 0x31));
      to[2 * k] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
      to[2 * k + 1] = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
    }
  }

  void cache_channels() {
    Channels channels;
    read_channels(channels);
    by_products(channels.slope, slope_);
    by_products(channels.shift, shift_);
    by_products(channels.spare, spare_);
    for (int k = 0; k < 8 && short_slope_; ++k) {
      slope_[k] = k % 2 == 0 ? _mm256_and_si256(slope_[k], _mm256_set1_epi32(0xffff)) : _mm256_slli_epi32(slope_[k], 16);
    }
    cache_fire(channels.fire, lines_ == Lines::bytes);
  }

  // Bytes are compared with their top bits turned where they are unsigned.
  void cache_fire(const int32_t* fire, bool bytes) {
    for (int group = 0; group < 4 && !bytes; ++group) fire_[group] = saturated(fire + 16 * group);
    if (!bytes) return;
    alignas(64) uint8_t cut[64];
    for (int i = 0; i < 64; ++i) cut[i] = static_cast<uint8_t>(fire[i]) ^ (epilogue_.fixed == Number::u8 ? 0x80 : 0);
    for (int part = 0; part < 2; ++part) fire_[part] = _mm256_load_si256(reinterpret_cast<const __m256i*>(cut + 32 * part));
  }

  FLIPFLOW_INLINE void cache_biases(int32_t offset) {
    if (offset == cached_) return;
    cached_ = offset;
    by_products(epilogue_.bias + offset, bias_);
    for (int k = 0; k < 8; ++k) bias_[k] = _mm256_srav_epi32(bias_[k], spare_[k]);
  }

  // (bias + slope * count) >> shift of every other channel
  FLIPFLOW_INLINE __m256i scaled(__m256i counts, int k) const {
    if (!short_slope_) return scaled_any(counts, k);
    return _mm256_srav_epi32(_mm256_add_epi32(_mm256_madd_epi16(counts, slope_[k]), bias_[k]), shift_[k]);
  }

  // Not inlined, so that the other way need not load what both use before it is known which is taken.
  __attribute__((noinline)) __m256i scaled_any(__m256i counts, int k) const {
    const __m256i count = k % 2 == 0 ? _mm256_and_si256(counts, _mm256_set1_epi32(0xffff)) : _mm256_srli_epi32(counts, 16);
    return _mm256_srav_epi32(_mm256_add_epi32(_mm256_mullo_epi32(count, slope_[k]), bias_[k]), shift_[k]);
  }

  // 16-bit lanes: of every eight channels of `counts`, the even ones first.
  FLIPFLOW_INLINE __m256i lines(__m256i counts, int k) const {
    return _mm256_packs_epi32(scaled(counts, 2 * k), scaled(counts, 2 * k + 1));
  }

  template <bool kSigned>
  static FLIPFLOW_INLINE __m256i clamped_bytes(__m256i x, int32_t low, int32_t high) {
    const __m256i a = _mm256_set1_epi8(static_cast<char>(low)), b = _mm256_set1_epi8(static_cast<char>(high));
    return kSigned ? _mm256_min_epi8(_mm256_max_epi8(x, a), b) : _mm256_min_epu8(_mm256_max_epu8(x, a), b);
  }

  static __attribute__((noinline)) __m256i load_part(const uint8_t* from, size_t bytes) {
    alignas(32) uint8_t part[32] = {};
    std::memcpy(part, from, bytes);
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(part));
  }
  static __attribute__((noinline)) void store_part(uint8_t* to, __m256i value, size_t bytes) { std::memcpy(to, &value, bytes); }

  // 32 residuals from `index` on, `count` of them in the map.
  FLIPFLOW_INLINE __m256i byte_residual(size_t index, int32_t count) const {
    const auto* from = static_cast<const uint8_t*>(out_.residual) + index;
    if (count < 32) return load_part(from, static_cast<size_t>(count));
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }

  FLIPFLOW_INLINE void store_bytes(size_t index, int32_t count, __m256i value) const {
    auto* to = static_cast<uint8_t*>(out_.fixed) + index;
    if (count < 32) store_part(to, value, static_cast<size_t>(count));
    else _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }

  // 32 channels; ones where `fire` is above the value. Saturation does the clamping, but for narrower ranges.
  template <bool kSigned>
  FLIPFLOW_INLINE __m256i bytes(int part, __m256i low, __m256i high, size_t index) const {
    const int32_t rest = count_ - 32 * part;
    if (rest <= 0) return _mm256_setzero_si256();
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
    const __m256i a = lines(low, 2 * part), b = lines(high, 2 * part + 1);
    __m256i value = _mm256_shuffle_epi8(kSigned ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b), order);
    if (clamp_q_) value = clamped_bytes<kSigned>(value, epilogue_.q_min, epilogue_.q_max);
    index += 32 * part;
    if (out_.residual != nullptr) {
      const __m256i residual = byte_residual(index, rest);
      value = kSigned ? _mm256_adds_epi8(value, residual) : _mm256_adds_epu8(value, residual);
      if (clamp_r_) value = clamped_bytes<kSigned>(value, epilogue_.r_min, epilogue_.r_max);
    }
    if (out_.fixed != nullptr) store_bytes(index, rest, value);
    if (!kSigned) value = _mm256_xor_si256(value, _mm256_set1_epi8(-128));
    return _mm256_cmpgt_epi8(fire_[part], value);
  }

  FLIPFLOW_INLINE void fixed_bytes(int32_t y, int32_t x, const __m256i* low, const __m256i* high) {
    cache_biases(class_offset(y, x));
    const size_t index = pixel(y, x) * channels_ + first_;
    uint64_t silent = 0;
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) {
      silent |= word_mask(part, epilogue_.fixed == Number::i8 ? bytes<true>(part, low[part], high[part], index)
                                                              : bytes<false>(part, low[part], high[part], index));
    }
    if (out_.bits != nullptr) store_bits(y, x, ~silent & possible_);
  }

  // Bounds beyond 16 bits cannot matter.
  static FLIPFLOW_INLINE __m256i clamped(__m256i x, int32_t low, int32_t high) {
    const __m256i floor = _mm256_set1_epi16(static_cast<int16_t>(low < -32768 ? -32768 : low));
    return _mm256_min_epi16(_mm256_max_epi16(x, floor), _mm256_set1_epi16(static_cast<int16_t>(least(high, 32767))));
  }

  FLIPFLOW_INLINE __m256i short_residual(size_t index, int32_t count) const {
    const size_t size = epilogue_.fixed == Number::i16 ? 2 : 1;
    const auto* from = static_cast<const uint8_t*>(out_.residual) + index * size;
    __m256i values;
    if (count < 16) values = load_part(from, static_cast<size_t>(count) * size);
    else if (size == 2) values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    else values = _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    if (size == 2) return values;
    const __m128i bytes = _mm256_castsi256_si128(values);
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
      store_part(to, value, static_cast<size_t>(count) * size);
    } else if (size == 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
    } else {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(value));
    }
  }

  // 16 channels from 16 * group on; ones where `fire` is above the value.
  FLIPFLOW_INLINE __m256i short_group(__m256i value, int group, size_t index) const {
    const int32_t rest = count_ - 16 * group;
    if (rest <= 0) return _mm256_setzero_si256();
    value = clamped(value, epilogue_.q_min, epilogue_.q_max);
    index += 16 * group;
    if (out_.residual != nullptr) {
      value = clamped(_mm256_adds_epi16(value, short_residual(index, rest)), epilogue_.r_min, epilogue_.r_max);
    }
    if (out_.fixed != nullptr) store_short(index, rest, value);
    return out_.bits == nullptr ? _mm256_setzero_si256() : _mm256_cmpgt_epi16(fire_[group], value);
  }

  __attribute__((noinline)) void fixed_halves(int32_t y, int32_t x, const __m256i* low, const __m256i* high) {
    cache_biases(class_offset(y, x));
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    const size_t index = pixel(y, x) * channels_ + first_;
    uint64_t silent = 0;
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) {
      const __m256i a = _mm256_shuffle_epi8(lines(low[part], 2 * part), order);
      const __m256i b = _mm256_shuffle_epi8(lines(high[part], 2 * part + 1), order);
      const __m256i c = short_group(_mm256_permute2x128_si256(a, b, 0x20), 2 * part, index);
      const __m256i d = short_group(_mm256_permute2x128_si256(a, b, 0x31), 2 * part + 1, index);
      silent |= word_mask(part, _mm256_permute4x64_epi64(_mm256_packs_epi16(c, d), 0xd8));
    }
    if (out_.bits != nullptr) store_bits(y, x, ~silent & possible_);
  }

  int32_t cached_;  // class offset of the biases below, or of the limits
  __m256i bias_[8], slope_[8], shift_[8], spare_[8], fire_[4];
};

}  // namespace
}  // namespace flipflow
