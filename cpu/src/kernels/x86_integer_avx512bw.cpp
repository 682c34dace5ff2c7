// Integer convolutions with AVX-512 without VNNI: needs F, BW, DQ and VL. See x86_integer.h.
#include "kernels/x86_integer.h"
#include "kernels/x86_integer_512.h"

namespace flipflow {
namespace {

constexpr int32_t kRoom = 40960;  // bytes for the widened weights of 64 channels

// kWide: bytes for weights that are widened before the tiles, int16 [rows][pairs][blocks][16][2]; 0: each tile does it.
template <int32_t kWide>
struct Madd512 : Vectors512 {
  static constexpr int32_t kWideBytes = kWide;
  static constexpr int32_t kNumberBytes = 2;
  static constexpr bool kSigned = true;

  // Bytes (2 * half) and (2 * half + 1) of each lane, as two int16.
  template <int kHalf>
  static __m512i pair(__m512i weights) {
    constexpr int kFirst = 2 * kHalf;
    const __m128i order = _mm_setr_epi8(-1, kFirst, -1, kFirst + 1, -1, kFirst + 4, -1, kFirst + 5, -1, kFirst + 8, -1,
                                        kFirst + 9, -1, kFirst + 12, -1, kFirst + 13);
    return _mm512_srai_epi16(_mm512_shuffle_epi8(weights, _mm512_broadcast_i32x4(order)), 8);
  }

  static void widen_weights(const Geometry& g, const unsigned char* from, int32_t blocks, unsigned char* to) {
    for (int32_t ky = 0; ky < g.kernel_rows; ++ky, from += static_cast<size_t>(g.quads) * blocks * kQuadBytes) {
      for (int32_t i = 0; i < g.pairs; ++i) {
        const unsigned char* quad = from + static_cast<size_t>(i / 2) * blocks * kQuadBytes;
        for (int32_t b = 0; b < blocks; ++b, quad += kQuadBytes, to += sizeof(__m512i)) {
          const __m512i weights = _mm512_loadu_si512(quad);
          _mm512_store_si512(to, i % 2 == 0 ? pair<0>(weights) : pair<1>(weights));
        }
      }
    }
  }

  template <int kHalf, int kPixels, int kBlocks>
  static void half(const unsigned char* const* at, size_t offset, const unsigned char* weights,
                   __m512i (&sum)[kPixels][kBlocks]) {
    __m512i w[kBlocks];
    FLIPFLOW_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const __m512i loaded = _mm512_loadu_si512(weights + b * kQuadBytes);
      w[b] = kWide ? loaded : pair<kHalf>(loaded);
    }
    FLIPFLOW_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      int32_t two;
      std::memcpy(&two, at[p] + offset + 4 * kHalf, sizeof two);
      const __m512i a = _mm512_set1_epi32(two);
      FLIPFLOW_UNROLL
      for (int b = 0; b < kBlocks; ++b) {
        sum[p][b] = add(sum[p][b], _mm512_madd_epi16(a, w[b]));
        asm("" : "+v"(sum[p][b]));  // else compilers add the products of both halves first, and run out of registers
      }
    }
  }

  template <int kPixels, int kBlocks>
  static void tile(const Geometry& g, const unsigned char* const* pixels, const unsigned char* weights,
                   const int32_t* start, int32_t* acc) {
    __m512i sum[kPixels][kBlocks];
    const unsigned char* at[kPixels];
    FLIPFLOW_UNROLL
    for (int p = 0; p < kPixels; ++p) at[p] = pixels[p];
    load_sums<Madd512>(start, sum);
    const size_t row_weights = static_cast<size_t>(kWide ? g.pairs : g.quads) * kBlocks * kQuadBytes;
    // To the next row; wraps round where the last quad reaches into it.
    const size_t skip = g.row_bytes - static_cast<size_t>(kWide ? g.pairs : 2 * g.quads) * 4;
    size_t offset = 0;
    for (int32_t ky = 0; ky < g.kernel_rows; ++ky, offset += skip) {
      const unsigned char* const end = weights + row_weights;
      for (; weights != end; weights += kBlocks * kQuadBytes, offset += kWide ? 4 : 8) {
        half<0>(at, offset, weights, sum);
        if (!kWide) half<1>(at, offset, weights, sum);
      }
    }
    store_sums<Madd512>(acc, sum);
  }
};

}  // namespace

void x86_integer::run_avx512bw(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue,
                               const Outputs& out, const Share& share) {
  const auto run = widens(s, share, kRoom) ? run_integer<Madd512<kRoom>> : run_integer<Madd512<0>>;
  run(s, packed, scratch, epilogue, out, share);
}

}  // namespace flipflow
