// AVX2: the carry-save kernel of x86_lanes.h on 256-bit vectors, five operations an adder instead of two.
#include "kernels/x86_avx2_finish.h"
#include "kernels/x86_integer.h"

namespace flipflow {
namespace {

struct Vector {
  using T = __m256i;
  static constexpr int kBytes = 32, kParts = 2, kPixels = 1, kLevels = 3;

  static FLIPFLOW_INLINE T zero() { return _mm256_setzero_si256(); }
  static FLIPFLOW_INLINE T load(const uint8_t* from) { return _mm256_load_si256(reinterpret_cast<const T*>(from)); }
  static FLIPFLOW_INLINE T words(const uint8_t* from) {
    int32_t word;
    std::memcpy(&word, from, sizeof word);
    return _mm256_set1_epi32(word);
  }
  static FLIPFLOW_INLINE T exclusive(T a, T b) { return _mm256_xor_si256(a, b); }
  static FLIPFLOW_INLINE T sum8(T a, T b) { return _mm256_add_epi8(a, b); }
  // The carry of x, y and the plane: where x and y differ, the plane decides, else x does.
  static FLIPFLOW_INLINE T add_differing(T& plane, T x, T differ) {
    const T out = _mm256_or_si256(_mm256_and_si256(differ, plane), _mm256_andnot_si256(differ, x));
    plane = _mm256_xor_si256(plane, differ);
    return out;
  }
  static FLIPFLOW_INLINE T add(T& plane, T x, T y) { return add_differing(plane, x, _mm256_xor_si256(x, y)); }
  static FLIPFLOW_INLINE T add_parity(T& plane, T x, T a, T w) { return add_differing(plane, x, _mm256_xor_si256(a, w)); }

  // Bits of each byte, times 1 << weight.
  static FLIPFLOW_INLINE T weighted(T x, int weight) {
    const __m128i counts = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const T table = _mm256_broadcastsi128_si256(_mm_slli_epi16(counts, weight)), nibble = _mm256_set1_epi8(15);
    return sum8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble)),
                _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble)));
  }
  static FLIPFLOW_INLINE T count(T x) { return weighted(x, 0); }
  static FLIPFLOW_INLINE T weigh(T one, T two, T four, T eight, T sixteen) {
    return sum8(sum8(weighted(one, 0), weighted(two, 1)),
                sum8(sum8(weighted(four, 2), weighted(eight, 3)), weighted(sixteen, 4)));
  }
  // 16-bit counts of the low and of the high bytes: small + 32 * large.
  static FLIPFLOW_INLINE void widen(T small, T large, T& low, T& high) {
    const T low_byte = _mm256_set1_epi16(0xff);
    low = _mm256_add_epi16(_mm256_and_si256(small, low_byte), _mm256_slli_epi16(_mm256_and_si256(large, low_byte), 5));
    high = _mm256_add_epi16(_mm256_srli_epi16(small, 8),
                            _mm256_and_si256(_mm256_srli_epi16(large, 3), _mm256_set1_epi16(0xff << 5)));
  }
  static FLIPFLOW_INLINE void store_counts(int32_t* to, int part, T low, T high) { store_counts256(to, part, low, high); }
};

void run(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
         const Share& share) {
  switch (epilogue.form) {
    case Form::sums: return lanes_run<Vector, Finish256<Form::sums>>(s, packed, scratch, epilogue, out, share);
    case Form::bits: return lanes_run<Vector, Finish256<Form::bits>>(s, packed, scratch, epilogue, out, share);
    default: return lanes_run<Vector, Finish256<Form::fixed>>(s, packed, scratch, epilogue, out, share);
  }
}

// The adders' words from registers; the empty statements keep the compiler from seeing that they are always the same.
struct Registers {
  __m256i a, w;
  FLIPFLOW_INLINE void next() {}
  FLIPFLOW_INLINE void done() {}
  FLIPFLOW_INLINE __m256i weight(int32_t) {
    asm volatile("" : "+x"(w));
    return w;
  }
  FLIPFLOW_INLINE __m256i word(int, int32_t) {
    asm volatile("" : "+x"(a));
    return a;
  }
};

// The carry-save adders: 5.5 operations for 256 MAC.
double limit(int64_t rounds) {
  Registers source = {_mm256_set1_epi32(0x12345678), _mm256_set1_epi32(0x0badcafe)};
  Planes<Vector, 1> planes;
  clear<Vector, 1>(planes);
  for (int64_t i = 0; i < rounds; ++i) add_top<Vector, 1>(source, planes);
  asm volatile("" : "+x"(planes.count[0]));
  return static_cast<double>(rounds) * (1 << Vector::kLevels) * 8 * 256;
}

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

}  // namespace

const Kernels avx2_kernels = {
    "avx2",
    supported,
    {"binary/avx2", Layout::lanes, lanes_accepts, lanes_scratch, lanes_padded_rows, lanes_prepare, run},
    avx2_integer,
    limit,
};

}  // namespace flipflow
