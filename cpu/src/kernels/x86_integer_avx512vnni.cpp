// Integer convolutions with AVX-512 VNNI: needs F, BW, DQ, VL and VNNI. See x86_integer.h.
#include "kernels/x86_integer.h"
#include "kernels/x86_integer_512.h"

namespace flipflow {
namespace {

struct Vnni : Vectors512 {
  static constexpr int32_t kNumberBytes = 1;
  static constexpr bool kSigned = false;
  static constexpr int32_t kWideBytes = 0;

  static void widen_weights(const Geometry&, const unsigned char*, int32_t, unsigned char*) {}

  template <int kPixels, int kBlocks>
  static void tile(const Geometry& g, const unsigned char* const* pixels, const unsigned char* weights,
                   const int32_t* start, int32_t* acc) {
    __m512i sum[kPixels][kBlocks];
    const unsigned char* at[kPixels];
    FLIPFLOW_UNROLL
    for (int p = 0; p < kPixels; ++p) at[p] = pixels[p];
    load_sums<Vnni>(start, sum);
    const size_t row_weights = static_cast<size_t>(g.quads) * kBlocks * kQuadBytes;
    // To the next row; wraps round where the last quad reaches into it.
    const size_t skip = g.row_bytes - static_cast<size_t>(g.quads) * 4;
    size_t offset = 0;
    for (int32_t ky = 0; ky < g.kernel_rows; ++ky, offset += skip) {
      const unsigned char* const end = weights + row_weights;
      for (; weights != end; weights += kBlocks * kQuadBytes, offset += 4) {
        __m512i w[kBlocks];
        FLIPFLOW_UNROLL
        for (int b = 0; b < kBlocks; ++b) w[b] = _mm512_loadu_si512(weights + b * kQuadBytes);
        FLIPFLOW_UNROLL
        for (int p = 0; p < kPixels; ++p) {
          int32_t four;
          std::memcpy(&four, at[p] + offset, sizeof four);
          const __m512i a = set(four);
          FLIPFLOW_UNROLL
          for (int b = 0; b < kBlocks; ++b) sum[p][b] = _mm512_dpbusd_epi32(sum[p][b], a, w[b]);
        }
      }
    }
    store_sums<Vnni>(acc, sum);
  }
};

}  // namespace

void x86_integer::run_avx512vnni(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue,
                                 const Outputs& out, const Share& share) {
  run_integer<Vnni>(s, packed, scratch, epilogue, out, share);
}

}  // namespace flipflow
