// AVX-512 F, BW, DQ and VL, without VPOPCNTDQ: Skylake-X, Cascade Lake. Bits are counted by two table look-ups a byte.
#include "kernels/x86_avx512_finish.h"
#include "kernels/x86_integer.h"

namespace flipflow {
namespace {

struct Vector : Vector512 {
  static constexpr int kPixels = 3, kLevels = 2;

  static FLIPFLOW_INLINE T count(T x) { return table_count(x, 0); }
  static FLIPFLOW_INLINE T weigh(T one, T two, T four, T eight, T sixteen) {
    return sum8(sum8(table_count(one, 0), table_count(two, 1)),
                sum8(sum8(table_count(four, 2), table_count(eight, 3)), table_count(sixteen, 4)));
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

// The adders' words from one place in memory: loads use no vector unit, while copies between registers, which compilers make as they
// please, would count against the limit.
struct Place {
  __m512i value;
  FLIPFLOW_INLINE void ask() {}
  FLIPFLOW_INLINE void next() {}
  FLIPFLOW_INLINE void done() {}
  FLIPFLOW_INLINE __m512i weight(int32_t) const {
    __m512i loaded;
    asm volatile("vmovdqa64 %1, %0" : "=v"(loaded) : "m"(value));
    return loaded;
  }
  FLIPFLOW_INLINE __m512i word(int, int32_t k) const { return weight(k); }
};

// The limit is that of the carry-save adders, not of table look-ups for every word (128 MAC a cycle): 512 MAC take 2.44
// operations in the adders and 0.22 for counting what leaves them, which is 385 MAC a cycle on two 512-bit pipes. Convolutions
// count five more planes a pixel and 64 channels, which no choice of the loop avoids.
double limit(int64_t rounds) {
  Place source = {_mm512_set1_epi32(0x12345678)};
  Planes<Vector, 3> planes;
  clear<Vector, 3>(planes);
  for (int64_t i = 0; i < rounds; ++i) add_top<Vector, 3>(source, planes);
  asm volatile("" : "+v"(planes.count[0]), "+v"(planes.count[1]), "+v"(planes.count[2]));
  return static_cast<double>(rounds) * 3 * (1 << Vector::kLevels) * 8 * 512;
}

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

}  // namespace

const Kernels avx512bw_kernels = {
    "avx512bw",
    supported,
    {"binary/avx512bw", Layout::lanes, lanes_accepts, lanes_scratch, lanes_padded_rows, lanes_prepare, run},
    avx512bw_integer,
    limit,
};

}  // namespace flipflow
