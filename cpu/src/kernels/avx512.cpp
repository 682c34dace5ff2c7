// AVX-512 with VPOPCNTDQ, BITALG and VNNI: Ice Lake, Zen 4 and later. Bits are counted by vpopcntb.
#include "kernels/x86_avx512_finish.h"
#include "kernels/x86_integer.h"

namespace flipflow {
namespace {

struct Vector : Vector512 {
  static constexpr int kPixels = 4, kLevels = 2;

#if defined(__AVX512BITALG__)
  static FLIPFLOW_INLINE T count(T x) { return _mm512_popcnt_epi8(x); }
#else  // for tests of everything else on older processors
  static FLIPFLOW_INLINE T count(T x) { return table_count(x, 0); }
#endif
  static FLIPFLOW_INLINE T twice(T x) { return sum8(x, x); }
  static FLIPFLOW_INLINE T weigh(T one, T two, T four, T eight, T sixteen) {
    const T upper = sum8(twice(sum8(twice(count(sixteen)), count(eight))), count(four));
    return sum8(twice(sum8(twice(upper), count(two))), count(one));
  }
};

void run(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
         const Share& share) {
  switch (epilogue.form) {
    case Form::sums: return lanes_run<Vector, Finish512<Form::sums>>(s, packed, scratch, epilogue, out, share);
    case Form::bits: return lanes_run<Vector, Finish512<Form::bits>>(s, packed, scratch, epilogue, out, share);
    default: return lanes_run<Vector, Finish512<Form::fixed>>(s, packed, scratch, epilogue, out, share);
  }
}

// XOR, popcount and add for each 512 bits: what any kernel without carry-save adders is bound by. Ours, with 2.5 operations
// instead of 3, can pass it.
double limit(int64_t rounds) {
  constexpr int kChains = 12;
  __m512i counts[kChains], word = _mm512_set1_epi32(0x12345678), weight = _mm512_set1_epi32(0x0badcafe);
  FLIPFLOW_UNROLL
  for (int k = 0; k < kChains; ++k) counts[k] = _mm512_setzero_si512();
  for (int64_t i = 0; i < rounds; ++i) {
    FLIPFLOW_UNROLL
    for (int k = 0; k < kChains; ++k) {
      asm volatile("" : "+v"(word));
      counts[k] = _mm512_add_epi32(counts[k], Vector::count(_mm512_xor_si512(word, weight)));
    }
  }
  FLIPFLOW_UNROLL
  for (int k = 0; k < kChains; ++k) asm volatile("" : : "v"(counts[k]));
  return static_cast<double>(rounds) * kChains * 512;
}

bool supported() {
#if defined(__AVX512BITALG__)
  if (!__builtin_cpu_supports("avx512vpopcntdq") || !__builtin_cpu_supports("avx512bitalg") ||
      !__builtin_cpu_supports("avx512vnni")) {
    return false;
  }
#endif
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

}  // namespace

const Kernels avx512_kernels = {
    "avx512",
    supported,
    {"binary/avx512", Layout::lanes, lanes_accepts, lanes_scratch, lanes_padded_rows, lanes_prepare, run},
    avx512vnni_integer,
    limit,
};

}  // namespace flipflow
