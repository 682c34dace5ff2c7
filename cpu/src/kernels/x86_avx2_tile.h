// Counting mismatches with AVX2: table look-ups for two pixels at once, on Layout::lanes.
//
// A byte lane is one output channel. For four fan-in bits a of one pixel and b of another there is a table of 16 bytes that holds
// popcount(a ^ n) + 16 * popcount(b ^ n) for every n: vpshufb looks up the weights' bits n of 32 channels, so XOR and count of both
// pixels are one instruction. Three look-ups add up to at most 12 in each half of a byte. Then the halves part: bytes count the
// lower ones (the first pixel), while the upper ones (the second) are added in 16-bit lanes, shifted down by 4 bits but not masked:
// what else these lanes take in is known from the bytes, and is subtracted at the end. With 2 additions and a parting of 4
// operations for three look-ups that makes 3 operations for 256 MAC, of which one needs the shuffle port.
//
// The weights' bytes are taken apart into four-bit indices once for a tile of pixels, a few words at a time.
#pragma once

#include "kernels/x86_avx2_finish.h"
#include "kernels/x86_avx2_map.h"

namespace flipflow {
namespace {

constexpr int32_t kStepUnits = 3;  // 64-bit words that bytes can count, at 64 each

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

FLIPFLOW_INLINE __m256i load256(const uint8_t* from) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(from)); }
FLIPFLOW_INLINE void store256(uint8_t* to, __m256i value) { _mm256_store_si256(reinterpret_cast<__m256i*>(to), value); }

// The weights of kStepUnits words as indices: [word][16][64 lanes].
struct Indices {
  alignas(64) uint8_t bytes[kStepUnits * 16 * 64];
};

// Asks for the weights of the next step, which come from far away: the pixels of a tile take longer than they do.
FLIPFLOW_INLINE void fill_indices(const uint8_t* weights, int32_t units, Indices& indices) {
  const __m256i mask = _mm256_set1_epi8(15);
  uint8_t* to = indices.bytes;
  for (int32_t i = 0; i < 4 * units; ++i, weights += 128, to += 256) {
    __builtin_prefetch(weights + kStepUnits * kUnitBytes);
    __builtin_prefetch(weights + kStepUnits * kUnitBytes + 64);
    FLIPFLOW_UNROLL
    for (int lane = 0; lane < 64; lane += 32) {
      const __m256i even = load256(weights + lane), odd = _mm256_xor_si256(even, load256(weights + 64 + lane));
      store256(to + lane, _mm256_and_si256(even, mask));
      store256(to + 64 + lane, _mm256_and_si256(_mm256_srli_epi16(even, 4), mask));
      store256(to + 128 + lane, _mm256_and_si256(odd, mask));
      store256(to + 192 + lane, _mm256_and_si256(_mm256_srli_epi16(odd, 4), mask));
    }
  }
}

// A pair of pixels, 64 channels in two parts. For each 16-bit lane of two channels: bytes holds the first pixel's counts, words the
// sum of the second pixel's low byte, 16 times the first one's high byte and 256 times the second one's.
struct PairCounts {
  __m256i bytes[2] = {}, words[2] = {};
};

// What is looked up where: memory, as in convolutions. Look-up i is that of fan-in bits 4i..4i+3 of a step.
struct PairStream {
  const uint8_t *pixels, *indices;
  const int64_t* offsets;

  FLIPFLOW_INLINE __m256i index(int i, int part) const { return load256(indices + i * 64 + part * 32); }
  FLIPFLOW_INLINE __m256i table(int i) const {
    uint16_t place;
    std::memcpy(&place, pixels + offsets[i / 16] + i % 16 * 2, sizeof place);
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(kPairTables.rows[0] + place)));
  }
};

// kUnits 64-bit words of each channel.
template <int kUnits, class Source>
FLIPFLOW_INLINE void add_words(Source& source, PairCounts& counts) {
  constexpr int kLast = kUnits * 16 - 1;
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i sums[2];
  FLIPFLOW_UNROLL
  for (int i = 0; i <= kLast; ++i) {
    const __m256i table = source.table(i);
    FLIPFLOW_UNROLL
    for (int part = 0; part < 2; ++part) {
      const __m256i found = _mm256_shuffle_epi8(table, source.index(i, part));
      sums[part] = i % 3 == 0 ? found : _mm256_add_epi8(sums[part], found);
      if (i % 3 != 2 && i != kLast) continue;
      counts.bytes[part] = _mm256_add_epi8(counts.bytes[part], _mm256_and_si256(sums[part], mask));
      counts.words[part] = _mm256_add_epi16(counts.words[part], _mm256_srli_epi16(sums[part], 4));
      if (i % 6 != 5) continue;  // now and then, or else g++ adds all up at the end, and runs out of registers
      asm("" : "+x"(counts.bytes[part]), "+x"(counts.words[part]));
    }
  }
}

// 16-bit counts of one pixel: low: bytes 0, 2, ... of the lanes, high: the others.
struct PixelCounts {
  __m256i low[2] = {}, high[2] = {};
};

FLIPFLOW_INLINE void add_bytes(PixelCounts& total, int part, __m256i bytes) {
  total.low[part] = _mm256_add_epi16(total.low[part], _mm256_and_si256(bytes, _mm256_set1_epi16(0xff)));
  total.high[part] = _mm256_add_epi16(total.high[part], _mm256_srli_epi16(bytes, 8));
}

// Adds the mismatches of a pair of pixels over kUnits words to its totals. The words are no loop: its end would be predicted wrong.
// Not inlined: outside a loop over the pairs, compilers would load all indices, and store them again.
template <int kUnits>
__attribute__((noinline)) void add_pair(const uint8_t* pixels, const int64_t* offsets, const Indices& indices, PixelCounts* total) {
  PairCounts counts;
  PairStream source = {pixels, indices.bytes, offsets};
  add_words<kUnits>(source, counts);
  FLIPFLOW_UNROLL
  for (int part = 0; part < 2; ++part) {
    const __m256i bytes = counts.bytes[part], known = _mm256_slli_epi16(_mm256_srli_epi16(bytes, 8), 4);
    add_bytes(total[0], part, bytes);
    add_bytes(total[1], part, _mm256_sub_epi16(counts.words[part], known));
  }
}

class PairsTile {
 public:
  static constexpr int32_t kPixels = 56;
  static FLIPFLOW_INLINE Window window(const Shape& s) { return pairs_window(s); }

  // So many pixels, at most kPixels, from (y_next, x_next) on, which it moves. The last of an odd number of pixels is counted in a pair whose second is left out.
  template <class Finish>
  static FLIPFLOW_INLINE void run(const Shape& s, const Window& w, const uint8_t* weights, const uint8_t* map, int64_t* offsets,
                                  int32_t pixels, int32_t& y_next, int32_t& x_next, Finish& finish) {
    int32_t y[kPixels], x[kPixels];
    const uint8_t* pairs[kPixels / 2];
    for (int32_t p = 0; p < pixels; ++p) {
      y[p] = y_next, x[p] = x_next;
      if (++x_next == s.out_width) x_next = 0, ++y_next;
      if (p % 2 != 0) continue;
      const int64_t column = x_next == 0 && p + 1 < pixels ? w.columns : int64_t{x[p]} * s.stride_width;
      pairs[p / 2] = map + y[p] * s.stride_height * w.row_bytes + column * w.pixel_bytes;
    }
    PixelCounts counts[kPixels];
    if (w.units <= kMaxUnits) {
      count(weights, pairs, offsets, w.units, pixels, counts);
      for (int32_t p = 0; p < pixels; ++p) finish.narrow(y[p], x[p], counts[p].low, counts[p].high);
      return;
    }
    alignas(64) int32_t total[kPixels][64] = {}, part[64];
    for (int32_t first = 0; first < w.units; first += kMaxUnits) {
      const int32_t units = least(kMaxUnits, w.units - first);
      fill_offsets(s, w, first, units, offsets);
      count(weights + static_cast<int64_t>(first) * kUnitBytes, pairs, offsets, units, pixels, counts);
      for (int32_t p = 0; p < pixels; ++p) {
        for (int i = 0; i < 2; ++i) store_counts256(part, i, counts[p].low[i], counts[p].high[i]);
        for (int i = 0; i < 64; ++i) total[p][i] += part[i];
      }
    }
    for (int32_t p = 0; p < pixels; ++p) finish.wide(y[p], x[p], total[p]);
  }

 private:
  template <int kUnits>
  static __attribute__((noinline)) void add_pairs(const uint8_t* weights, const uint8_t* const* pairs, const int64_t* offsets,
                                                  int32_t pixels, PixelCounts* counts) {
    Indices indices;
    fill_indices(weights, kUnits, indices);
    for (int32_t p = 0; p < pixels; p += 2) add_pair<kUnits>(pairs[p / 2], offsets, indices, counts + p);
  }

  // Mismatches over `units` words (at most kMaxUnits).
  static FLIPFLOW_INLINE void count(const uint8_t* weights, const uint8_t* const* pairs, const int64_t* offsets, int32_t units,
                                    int32_t pixels, PixelCounts* counts) {
    for (int32_t p = 0; p < (pixels + 1) / 2 * 2; ++p) counts[p] = PixelCounts();
    for (; units >= kStepUnits; units -= kStepUnits, offsets += kStepUnits, weights += kStepUnits * kUnitBytes) {
      add_pairs<kStepUnits>(weights, pairs, offsets, pixels, counts);
    }
    if (units == 2) add_pairs<2>(weights, pairs, offsets, pixels, counts);
    if (units == 1) add_pairs<1>(weights, pairs, offsets, pixels, counts);
  }
};

// All blocks of 64 channels and all pixels of a share; the counts go to the Finish.
template <class Finish>
FLIPFLOW_INLINE void pairs_run(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue,
                               const Outputs& out, const Share& share) {
  const Window w = PairsTile::window(s);
  const auto* map = static_cast<const uint8_t*>(scratch);
  const int32_t pixels = share.row_end * s.out_width;
  int64_t offsets[kMaxUnits];
  fill_offsets(s, w, 0, least(w.units, kMaxUnits), offsets);
  for (int32_t first = share.channel_begin; first < share.channel_end; first += 64) {
    const uint8_t* weights = static_cast<const uint8_t*>(packed) + static_cast<int64_t>(first / 64) * w.units * kUnitBytes;
    Finish finish(s, epilogue, out, first);
    int32_t y = share.row_begin, x = 0;
    for (int32_t pixel = share.row_begin * s.out_width; pixel < pixels; pixel += PairsTile::kPixels) {
      PairsTile::run(s, w, weights, map, offsets, least(PairsTile::kPixels, pixels - pixel), y, x, finish);
    }
  }
}

}  // namespace
}  // namespace flipflow
