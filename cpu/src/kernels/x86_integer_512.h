// Vectors of AVX-512 (F, BW, DQ) for x86_integer_run.h.
#pragma once

// GCC 12 sees uninitialised values in its own header (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include "kernels/x86_integer_run.h"

namespace flipflow {
namespace {

struct Vectors512 {
  using Vector = __m512i;
  static constexpr int32_t kLanes = 16;
  static constexpr int32_t kTilePixels = 6;  // four registers each

  static Vector load(const int32_t* from) { return _mm512_loadu_si512(from); }
  static void store(int32_t* to, Vector a) { _mm512_storeu_si512(to, a); }
  static Vector set(int32_t value) { return _mm512_set1_epi32(value); }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm512_mullo_epi32(a, b); }
  static Vector shift(Vector a, Vector b) { return _mm512_srav_epi32(a, b); }
  static Vector smaller(Vector a, Vector b) { return _mm512_min_epi32(a, b); }
  static Vector larger(Vector a, Vector b) { return _mm512_max_epi32(a, b); }
  // Widened as a mask, for the reason given in x86_avx512_finish.h.
  static uint32_t at_least(Vector a, Vector b) { return _mm512_kunpackw(0, _mm512_cmpge_epi32_mask(a, b)); }

  static Vector widen(Number number, const unsigned char* from) {
    if (number == Number::i16) return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return number == Number::u8 ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
  }

  static Vector set_shorts(int32_t value) { return _mm512_set1_epi16(static_cast<int16_t>(value)); }

  // The packs work within 128 bits; the permutations put the parts in order.
  static void narrow(Number number, const Vector* a, Vector minimum, Vector maximum, unsigned char* to) {
    const auto clamp = [&](Vector b) { return _mm512_min_epi16(_mm512_max_epi16(b, minimum), maximum); };
    const Vector low = clamp(_mm512_packs_epi32(a[0], a[1])), high = clamp(_mm512_packs_epi32(a[2], a[3]));
    if (number == Number::i16) {
      const Vector order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
      _mm512_storeu_si512(to, _mm512_permutexvar_epi64(order, low));
      _mm512_storeu_si512(to + 64, _mm512_permutexvar_epi64(order, high));
      return;
    }
    const Vector order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const Vector bytes = number == Number::u8 ? _mm512_packus_epi16(low, high) : _mm512_packs_epi16(low, high);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi32(order, bytes));
  }
};

}  // namespace
}  // namespace flipflow
