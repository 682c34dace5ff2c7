// AVX2: binary convolutions by table look-ups, see x86_avx2_tile.h.
#include "kernels/x86_avx2_tile.h"
#include "kernels/x86_integer.h"

namespace flipflow {
namespace {

void run(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue, const Outputs& out,
         const Share& share) {
  switch (epilogue.form) {
    case Form::sums: return pairs_run<Finish256<Form::sums>>(s, packed, scratch, epilogue, out, share);
    case Form::bits: return pairs_run<Finish256<Form::bits>>(s, packed, scratch, epilogue, out, share);
    default: return pairs_run<Finish256<Form::fixed>>(s, packed, scratch, epilogue, out, share);
  }
}

// Tables and indices from registers; the empty statements keep the compiler from seeing that they are always the same.
struct Registers {
  __m256i tables, indices;
  FLIPFLOW_INLINE __m256i table(int) {
    asm volatile("" : "+x"(tables));
    return tables;
  }
  FLIPFLOW_INLINE __m256i index(int, int) {
    asm volatile("" : "+x"(indices));
    return indices;
  }
};

// Look-ups, additions and partings: 3 operations for 256 MAC.
double limit(int64_t rounds) {
  Registers source = {_mm256_set1_epi32(0x12345678), _mm256_set1_epi32(0x0badcafe)};
  PairCounts counts;
  for (int64_t i = 0; i < rounds; ++i) add_words<kStepUnits>(source, counts);
  asm volatile("" : "+x"(counts.bytes[0]), "+x"(counts.bytes[1]), "+x"(counts.words[0]), "+x"(counts.words[1]));
  return static_cast<double>(rounds) * kStepUnits * 2 * 64 * 64;
}

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

}  // namespace

const Kernels avx2_kernels = {
    "avx2",
    supported,
    {"binary/avx2", Layout::lanes, lanes_accepts, pairs_scratch, lanes_padded_rows, pairs_prepare, run},
    avx2_integer,
    limit,
};

}  // namespace flipflow
