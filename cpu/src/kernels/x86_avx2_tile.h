// Counting mismatches with AVX2: table look-ups for two pixels at once, on Layout::lanes.
//
// A byte lane is one output channel. For four fan-in bits a of one pixel and b of another there is a table of 16 bytes that holds
// popcount(a ^ n) + 16 * popcount(b ^ n) for every n; vpshufb looks up the weights' bits n of 32 channels, so XOR and count of both pixels are one
// instruction. Three look-ups add up to at most 12 in each half of a byte. Then the halves part: bytes count the lower ones (the first
// pixel), while the upper ones (the second) are added in 16-bit lanes, shifted down by 4 bits but not masked: what else these lanes
// take in is known from the bytes, and is subtracted at the end. With 16 look-ups, 10 additions and 6 partings of 4 operations for
// 4096 MAC that makes 3.1 operations for 256 MAC, of which one needs the shuffle port.
#pragma once

#include "kernels/x86_avx2_map.h"

namespace flipflow {
namespace {

constexpr int32_t kByteUnits = 3;  // 64-bit words that bytes can count, at 64 each

struct PairTables {
  alignas(64) uint8_t rows[256][16] = {};
  constexpr PairTables() {
    constexpr int kBits[16] = {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4};
    for (int i = 0; i < 256; ++i) {
      for (int n = 0; n < 16; ++n) rows[i][n] = static_cast<uint8_t>(kBits[i % 16 ^ n] + 16 * kBits[i / 16 ^ n]);
    }
  }
};
constexpr PairTables kPairTables;

FLIPFLOW_INLINE __m256i load256(const void* from) { return _mm256_load_si256(static_cast<const __m256i*>(from)); }

// N pairs of pixels and 64 channels in two parts. For each 16-bit lane of two channels: bytes holds the first pixel's counts,
// words the sum of the second pixel's low byte, 16 times the first one's high byte and 256 times the second one's.
template <int N>
struct PairCounts {
  __m256i bytes[N][2], words[N][2];
};

// What is looked up where: memory, as in convolutions.
template <int N>
struct PairStream {
  const uint8_t* weights;
  const uint8_t* pixels[N];
  const int64_t* offsets;
  int64_t offset;

  FLIPFLOW_INLINE void next() { offset = *offsets++; }
  FLIPFLOW_INLINE void done() { weights += kUnitBytes; }
  FLIPFLOW_INLINE __m256i weight(int byte, int part) const {
    const uint8_t* at = weights + byte * 64 + part * 32;
    return byte % 2 == 0 ? load256(at) : _mm256_xor_si256(load256(at), load256(at - 64));
  }
  FLIPFLOW_INLINE __m256i table(int pair, int nibble) const {
    uint16_t place;
    std::memcpy(&place, pixels[pair] + offset + nibble * 2, sizeof place);
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kPairTables.rows[0] + place)));
  }
};

// One 64-bit word of each channel.
template <int N, class Source>
FLIPFLOW_INLINE void add_word(Source& source, PairCounts<N>& counts) {
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i weight[2], bits[2], sums[N][2];
  source.next();
  FLIPFLOW_UNROLL
  for (int i = 0; i < 16; ++i) {
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) {
      if (i % 2 == 0) weight[part] = source.weight(i / 2, part);
      bits[part] = _mm256_and_si256(i % 2 == 0 ? weight[part] : _mm256_srli_epi16(weight[part], 4), mask);
    }
    FLIPFLOW_UNROLL
    for (int pair = 0; pair < N; ++pair) {
      const __m256i table = source.table(pair, i);
      FLIPFLOW_UNROLL
      for (int part = 0; part < 2; ++part) {
        const __m256i found = _mm256_shuffle_epi8(table, bits[part]);
        __m256i& sum = sums[pair][part];
        sum = i % 3 == 0 ? found : _mm256_add_epi8(sum, found);
        if (i % 3 != 2 && i != 15) continue;
        counts.bytes[pair][part] = _mm256_add_epi8(counts.bytes[pair][part], _mm256_and_si256(sum, mask));
        counts.words[pair][part] = _mm256_add_epi16(counts.words[pair][part], _mm256_srli_epi16(sum, 4));
      }
    }
  }
  source.done();
}

template <int N>
FLIPFLOW_INLINE void clear(PairCounts<N>& counts) {
  FLIPFLOW_UNROLL
  for (int pair = 0; pair < N; ++pair) {
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) counts.bytes[pair][part] = counts.words[pair][part] = _mm256_setzero_si256();
  }
}

// 16-bit counts of one pixel: low: bytes 0, 2, ... of the lanes, high: the others.
struct Counts16 {
  __m256i low[2], high[2];
};

FLIPFLOW_INLINE void add_bytes(Counts16& total, int part, __m256i bytes) {
  total.low[part] = _mm256_add_epi16(total.low[part], _mm256_and_si256(bytes, _mm256_set1_epi16(0xff)));
  total.high[part] = _mm256_add_epi16(total.high[part], _mm256_srli_epi16(bytes, 8));
}

// Mismatches of N pairs over `units` words (at most kMaxUnits).
template <int N>
FLIPFLOW_INLINE void count_pairs(PairStream<N> source, int32_t units, Counts16 (&total)[2 * N]) {
  std::memset(total, 0, sizeof total);
  for (int32_t first = 0; first < units; first += kByteUnits) {
    PairCounts<N> counts;
    clear<N>(counts);
    FLIPFLOW_KEEP_LOOP
    for (int32_t i = least(kByteUnits, units - first); i > 0; --i) add_word<N>(source, counts);
    FLIPFLOW_UNROLL
    for (int pair = 0; pair < N; ++pair) {
      FLIPFLOW_UNROLL
      for (int part = 0; part < 2; ++part) {
        const __m256i bytes = counts.bytes[pair][part], known = _mm256_slli_epi16(_mm256_srli_epi16(bytes, 8), 4);
        add_bytes(total[2 * pair], part, bytes);
        add_bytes(total[2 * pair + 1], part, _mm256_sub_epi16(counts.words[pair][part], known));
      }
    }
  }
}

struct PairsTile {
  static constexpr int kPixels = 4;
  static FLIPFLOW_INLINE Window window(const Shape& s) { return pairs_window(s); }

  // See run_blocks(). An odd pixel is counted in a pair of which the second is left out.
  template <int P, class Finish>
  static FLIPFLOW_INLINE void run(const Shape& s, const Window& w, const uint8_t* weights, const uint8_t* map, int64_t* offsets,
                                  int32_t& y_next, int32_t& x_next, Finish& finish) {
    constexpr int kPairs = (P + 1) / 2;
    Counts16 counts[2 * kPairs];
    PairStream<kPairs> source;
    int32_t y[P], x[P];
    for (int p = 0; p < P; ++p) {
      y[p] = y_next, x[p] = x_next;
      if (++x_next == s.out_width) x_next = 0, ++y_next;
      if (p % 2 != 0) continue;
      const int64_t column = x_next == 0 && p + 1 < P ? w.columns : int64_t{x[p]} * s.stride_width;
      source.pixels[p / 2] = map + y[p] * s.stride_height * w.row_bytes + column * w.pixel_bytes;
    }
    source.offset = 0;
    source.offsets = offsets;
    source.weights = weights;
    if (w.units <= kMaxUnits) {
      count_pairs<kPairs>(source, w.units, counts);
      FLIPFLOW_KEEP_LOOP
      for (int p = 0; p < P; ++p) finish.narrow(y[p], x[p], counts[p].low, counts[p].high);
      return;
    }
    alignas(64) int32_t total[P][64] = {}, part[64];
    for (int32_t first = 0; first < w.units; first += kMaxUnits) {
      const int32_t units = least(kMaxUnits, w.units - first);
      fill_offsets(s, w, first, units, offsets);
      source.weights = weights + static_cast<int64_t>(first) * kUnitBytes;
      count_pairs<kPairs>(source, units, counts);
      for (int p = 0; p < P; ++p) {
        for (int i = 0; i < 2; ++i) store_counts256(part, i, counts[p].low[i], counts[p].high[i]);
        for (int i = 0; i < 64; ++i) total[p][i] += part[i];
      }
    }
    for (int p = 0; p < P; ++p) finish.wide(y[p], x[p], total[p]);
  }
};

}  // namespace
}  // namespace flipflow
