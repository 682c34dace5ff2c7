// Integer convolutions with AVX2. See x86_integer.h.
#include "kernels/x86_integer.h"

#include <immintrin.h>

#include "kernels/x86_integer_run.h"

namespace flipflow {
namespace {

constexpr int32_t kRoom = 40960;  // bytes for the widened weights of 64 channels

// kWide: bytes for weights that are widened before the tiles, int16 [rows][pairs][blocks][16][2]; 0: each tile does it.
template <int32_t kWide>
struct Madd256 {
  static constexpr int32_t kWideBytes = kWide;
  using Vector = __m256i;
  static constexpr int32_t kLanes = 8;
  static constexpr int32_t kTilePixels = 5;  // two registers each, and the rest of the 16 for weights
  static constexpr int32_t kNumberBytes = 2;
  static constexpr bool kSigned = true;

  static Vector load(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
  static void store(int32_t* to, Vector a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), a); }
  static Vector set(int32_t value) { return _mm256_set1_epi32(value); }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  static Vector multiply(Vector a, Vector b) { return _mm256_mullo_epi32(a, b); }
  static Vector shift(Vector a, Vector b) { return _mm256_srav_epi32(a, b); }
  static Vector smaller(Vector a, Vector b) { return _mm256_min_epi32(a, b); }
  static Vector larger(Vector a, Vector b) { return _mm256_max_epi32(a, b); }
  static uint32_t at_least(Vector a, Vector b) {
    return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)))) ^ 0xff;
  }

  static Vector widen(Number number, const unsigned char* from) {
    if (number == Number::i16) return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return number == Number::u8 ? _mm256_cvtepu8_epi32(bytes) : _mm256_cvtepi8_epi32(bytes);
  }

  static Vector set_shorts(int32_t value) { return _mm256_set1_epi16(static_cast<int16_t>(value)); }

  // The packs work within 128 bits; the permutations put the parts in order.
  static void narrow(Number number, const Vector* a, Vector minimum, Vector maximum, unsigned char* to) {
    const auto clamp = [&](Vector b) { return _mm256_min_epi16(_mm256_max_epi16(b, minimum), maximum); };
    const auto put = [&](Vector b) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), b);
      to += sizeof(Vector);
    };
    FLIPFLOW_UNROLL
    for (int i = 0; i < 8; i += 4) {
      const Vector low = clamp(_mm256_packs_epi32(a[i], a[i + 1]));
      const Vector high = clamp(_mm256_packs_epi32(a[i + 2], a[i + 3]));
      if (number == Number::i16) {
        put(_mm256_permute4x64_epi64(low, 0xd8));
        put(_mm256_permute4x64_epi64(high, 0xd8));
        continue;
      }
      const Vector bytes = number == Number::u8 ? _mm256_packus_epi16(low, high) : _mm256_packs_epi16(low, high);
      put(_mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    }
  }

  // Bytes (2 * half) and (2 * half + 1) of each lane, as two int16.
  template <int kHalf>
  static __m256i pair(const unsigned char* weights) {
    constexpr int kFirst = 2 * kHalf;
    const __m128i order = _mm_setr_epi8(-1, kFirst, -1, kFirst + 1, -1, kFirst + 4, -1, kFirst + 5, -1, kFirst + 8, -1,
                                        kFirst + 9, -1, kFirst + 12, -1, kFirst + 13);
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order)), 8);
  }

  static __m256i whole(const unsigned char* from) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(from)); }

  static void widen_weights(const Geometry& g, const unsigned char* from, int32_t blocks, unsigned char* to) {
    const auto put = [&](__m256i a) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to), a);
      to += sizeof a;
    };
    for (int32_t ky = 0; ky < g.kernel_rows; ++ky, from += static_cast<size_t>(g.quads) * blocks * kQuadBytes) {
      for (int32_t i = 0; i < g.pairs; ++i) {
        const unsigned char* quad = from + static_cast<size_t>(i / 2) * blocks * kQuadBytes;
        for (int32_t b = 0; b < 2 * blocks; ++b, quad += 32) put(i % 2 == 0 ? pair<0>(quad) : pair<1>(quad));
      }
    }
  }

  template <int kHalf, int kPixels>
  static void half(const unsigned char* const* at, size_t offset, const unsigned char* weights,
                   __m256i (&sum)[kPixels][2]) {
    const __m256i w0 = kWide ? whole(weights) : pair<kHalf>(weights);
    const __m256i w1 = kWide ? whole(weights + 32) : pair<kHalf>(weights + 32);
    FLIPFLOW_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      int32_t two;
      std::memcpy(&two, at[p] + offset + 4 * kHalf, sizeof two);
      const __m256i a = _mm256_set1_epi32(two);
      sum[p][0] = add(sum[p][0], _mm256_madd_epi16(a, w0));
      sum[p][1] = add(sum[p][1], _mm256_madd_epi16(a, w1));
      // Without this, compilers add the products of both halves first, and run out of registers.
      asm("" : "+x"(sum[p][0]), "+x"(sum[p][1]));
    }
  }

  // 16 channels at a time: two registers a pixel.
  template <int kPixels, int kBlocks>
  static void tile(const Geometry& g, const unsigned char* const* pixels, const unsigned char* weights,
                   const int32_t* start, int32_t* acc) {
    const unsigned char* at[kPixels];
    FLIPFLOW_UNROLL
    for (int p = 0; p < kPixels; ++p) at[p] = pixels[p];
    const size_t row_weights = static_cast<size_t>(kWide ? g.pairs : g.quads) * kBlocks * kQuadBytes;
    // To the next row; wraps round where the last quad reaches into it.
    const size_t skip = g.row_bytes - static_cast<size_t>(kWide ? g.pairs : 2 * g.quads) * 4;
    for (int b = 0; b < kBlocks; ++b, start += kBlock, acc += kBlock) {
      __m256i sum[kPixels][2];
      load_sums<Madd256>(start, sum);
      const unsigned char* w = weights + b * kQuadBytes;
      size_t offset = 0;
      for (int32_t ky = 0; ky < g.kernel_rows; ++ky, offset += skip) {
        const unsigned char* const end = w + row_weights;
        for (; w != end; w += kBlocks * kQuadBytes, offset += kWide ? 4 : 8) {
          half<0>(at, offset, w, sum);
          if (!kWide) half<1>(at, offset, w, sum);
        }
      }
      store_sums<Madd256>(acc, sum);
    }
  }
};

}  // namespace

void x86_integer::run_avx2(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue,
                           const Outputs& out, const Share& share) {
  const auto run = widens(s, share, kRoom) ? run_integer<Madd256<kRoom>> : run_integer<Madd256<0>>;
  run(s, packed, scratch, epilogue, out, share);
}

}  // namespace flipflow
