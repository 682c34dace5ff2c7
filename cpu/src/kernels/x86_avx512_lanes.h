// The 512-bit vectors of x86_lanes.h, for both AVX-512 sets.
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
  // 16-bit lanes of channels 0..31 and 32..63 in order.
  static FLIPFLOW_INLINE void in_order(T low, T high, T* halves) {
    halves[0] = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
    halves[1] = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
  }
  static FLIPFLOW_INLINE T widened(const T* halves, int part) {
    const T half = halves[part / 2];
    return _mm512_cvtepi16_epi32(part % 2 == 0 ? _mm512_castsi512_si256(half) : _mm512_extracti64x4_epi64(half, 1));
  }
  static FLIPFLOW_INLINE void store_counts(int32_t* to, T low, T high) {
    T halves[2];
    in_order(low, high, halves);
    FLIPFLOW_UNROLL
    for (int i = 0; i < 4; ++i) _mm512_store_si512(to + 16 * i, widened(halves, i));
  }
};

// Bits of each byte by two look-ups, times 1 << weight.
FLIPFLOW_INLINE __m512i table_count(__m512i x, int weight) {
  const __m128i counts = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m512i table = _mm512_broadcast_i32x4(_mm_slli_epi16(counts, weight)), nibble = _mm512_set1_epi8(15);
  return _mm512_add_epi8(_mm512_shuffle_epi8(table, _mm512_and_si512(x, nibble)),
                         _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble)));
}

}  // namespace
}  // namespace flipflow
