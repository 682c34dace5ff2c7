// Counting mismatches with AVX-512: carry-save adders on Layout::lanes; everything but the vectors themselves and the epilogue.
//
// A byte lane is one output channel, so a vector of 64 bytes takes eight fan-in bits of 64 channels. The prepared map holds
// each activation byte four times, for a broadcast that costs no ALU slot. Mismatches are not counted word by word but added
// up by carry-save adders, bit position by bit position: planes of weight 1, 2, 4, ... take two words each and hand a carry to
// the next. At the bottom two words x = a ^ w, y = a' ^ w' are added at once, for their sum needs only the parities a ^ a' and
// w ^ w', which the packed weights and the prepared map hold: with the ternary logic of AVX-512 that makes 3 operations for
// two words, and 2.5 a word over all planes. Only what leaves the top plane is counted as bits, and the planes at the end.
#pragma once

#include "kernels/x86_window.h"

namespace flipflow {
namespace {

constexpr int32_t kAheadBytes = 128;  // weights asked for at a time: few, as requests hold up the loads behind them

// --- the prepared map ---

size_t lanes_scratch(const Shape& s) {
  const Window w = window_of(s);
  return static_cast<size_t>(w.row_bytes) * static_cast<size_t>(w.rows);
}

// Bytes of a word, the odd ones XORed with their even neighbours, four times each.
FLIPFLOW_INLINE __m256i spread(uint64_t word) {
  const __m256i bytes = _mm256_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7,
                                         7, 7, 7);
  word ^= (word & 0x00ff00ff00ff00ff) << 8;
  return _mm256_shuffle_epi8(_mm256_set1_epi64x(static_cast<long long>(word)), bytes);
}

uint8_t* fill_border(uint8_t* to, const Shape& s, const Window& w, int32_t pixels) {
  const bool ones = s.border == Border::ones;
  const int32_t used = s.in_channels % 64;
  const __m256i full = spread(ones ? ~uint64_t{0} : 0);
  const __m256i last = spread(!ones ? 0 : used == 0 ? ~uint64_t{0} : (uint64_t{1} << used) - 1);
  for (int32_t i = 0; i < pixels; ++i) {
    for (int32_t k = 0; k < w.words; ++k, to += kStoredBytes) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to), k + 1 < w.words ? full : last);
    }
  }
  return to;
}

void lanes_prepare(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const Window w = window_of(s);
  auto* to = static_cast<uint8_t*>(scratch) + begin * w.row_bytes;
  const int32_t left = least(s.pad_left, w.columns), inside = least(s.in_width, w.columns - left);
  for (int32_t row = begin; row < end; ++row) {
    const int32_t y = row - s.pad_top;
    if (y < 0 || y >= s.in_height) {
      to = fill_border(to, s, w, w.columns);
      continue;
    }
    to = fill_border(to, s, w, left);
    const auto* from = static_cast<const uint64_t*>(input) + static_cast<int64_t>(y) * s.in_width * w.words;
    for (int64_t k = 0; k < static_cast<int64_t>(inside) * w.words; ++k, to += kStoredBytes) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to), spread(from[k]));
    }
    to = fill_border(to, s, w, w.columns - left - inside);
  }
}

// --- carry-save adders ---

// V is a vector set: T; zero(); load(); words(): a broadcast 32-bit word; exclusive(): a ^ b;
// add(plane, x, y): plane becomes the sum bit, the carry is returned; add_parity(plane, x, parity): the same for x and y where
// parity = x ^ y; count(T): bits of each byte; weigh(): counts of planes of weight 1, 2, 4, 8 and 16 together.
template <class V, int P>
struct Planes {
  typename V::T one[P], two[P], four[P], high[V::kLevels][P];  // high: 8, 16, ...
  typename V::T count[P];                                       // bytes: what left the top plane
};

// The words that the adders take: memory, as in convolutions.
template <class V, int P>
struct Stream {
  const uint8_t* weights;
  const uint8_t* pixels[P];
  const int64_t* offsets;
  int64_t offset;
  const uint8_t* ahead;  // weights that are wanted later
  int64_t ahead_step;    // kAheadBytes, or 0 once they have all been asked for

  FLIPFLOW_INLINE void ask() {
    FLIPFLOW_UNROLL
    for (int32_t i = 0; i < kAheadBytes; i += 64) __builtin_prefetch(ahead + i, 0, 2);
    ahead += ahead_step;
  }
  FLIPFLOW_INLINE void next() { offset = *offsets++; }
  FLIPFLOW_INLINE void done() { weights += kUnitBytes; }
  FLIPFLOW_INLINE typename V::T weight(int32_t k) const { return V::load(weights + k * 64); }
  FLIPFLOW_INLINE typename V::T word(int p, int32_t k) const { return V::words(pixels[p] + offset + k * 4); }
};

// One 64-bit word of each channel: eight byte steps. carry: plane of weight 8.
template <class V, int P, class Source>
FLIPFLOW_INLINE void add_unit(Source& source, Planes<V, P>& planes, typename V::T* carry) {
  using T = typename V::T;
  T two[P], four[P];
  source.next();
  FLIPFLOW_UNROLL
  for (int k = 0; k < 4; ++k) {
    const T w = source.weight(2 * k), parity = source.weight(2 * k + 1);
    FLIPFLOW_UNROLL
    for (int p = 0; p < P; ++p) {
      const T x = V::exclusive(source.word(p, 2 * k), w);
      const T t = V::add_parity(planes.one[p], x, source.word(p, 2 * k + 1), parity);
      if (k % 2 == 0) {
        two[p] = t;
        continue;
      }
      const T f = V::add(planes.two[p], two[p], t);
      if (k == 1) four[p] = f;
      if (k == 3) carry[p] = V::add(planes.four[p], four[p], f);
    }
  }
  source.done();
}

// 2^Level units. carry: plane of weight 8 << Level.
template <class V, int P, int Level, class Source>
FLIPFLOW_INLINE void add_group(Source& source, Planes<V, P>& planes, typename V::T* carry) {
  if constexpr (Level == 0) {
    add_unit<V, P>(source, planes, carry);
  } else {
    typename V::T first[P], second[P];
    add_group<V, P, Level - 1>(source, planes, first);
    add_group<V, P, Level - 1>(source, planes, second);
    FLIPFLOW_UNROLL
    for (int p = 0; p < P; ++p) carry[p] = V::add(planes.high[Level - 1][p], first[p], second[p]);
  }
}

// The units that do not make up a whole group come first, while the planes that they carry into are empty.
template <class V, int P, int Level, class Source>
FLIPFLOW_INLINE void add_rest(Source& source, Planes<V, P>& planes, int32_t units) {
  if constexpr (Level < V::kLevels) {
    if (units >> Level & 1) add_group<V, P, Level>(source, planes, planes.high[Level]);
    add_rest<V, P, Level + 1>(source, planes, units);
  }
}

template <class V, int P, class Source>
FLIPFLOW_INLINE void add_top(Source& source, Planes<V, P>& planes) {
  typename V::T top[P];
  source.ask();
  add_group<V, P, V::kLevels>(source, planes, top);
  FLIPFLOW_UNROLL
  for (int p = 0; p < P; ++p) planes.count[p] = V::sum8(planes.count[p], V::count(top[p]));
}

template <class V, int P>
FLIPFLOW_INLINE void clear(Planes<V, P>& planes) {
  FLIPFLOW_UNROLL
  for (int p = 0; p < P; ++p) {
    planes.one[p] = planes.two[p] = planes.four[p] = planes.count[p] = V::zero();
    FLIPFLOW_UNROLL
    for (int k = 0; k < V::kLevels; ++k) planes.high[k][p] = V::zero();
  }
}

// What is left of one pixel after the last word: planes of weight 1, 2, 4, 8, 16; bytes of counts.
template <class V>
struct Left {
  typename V::T planes[3 + V::kLevels], count;
};

template <class V, int P>
FLIPFLOW_INLINE void keep(const Planes<V, P>& planes, Left<V>* left) {
  FLIPFLOW_UNROLL
  for (int p = 0; p < P; ++p) {
    left[p].planes[0] = planes.one[p], left[p].planes[1] = planes.two[p], left[p].planes[2] = planes.four[p];
    FLIPFLOW_UNROLL
    for (int k = 0; k < V::kLevels; ++k) left[p].planes[3 + k] = planes.high[k][p];
    left[p].count = planes.count[p];
  }
}

// Mismatches of P pixels over `units` words (at most kMaxUnits: byte counters hold their top planes).
template <class V, int P>
FLIPFLOW_INLINE void count_units(Stream<V, P> source, int32_t units, Left<V>* left) {
  Planes<V, P> planes;
  clear<V, P>(planes);
  add_rest<V, P, 0>(source, planes, units);
  for (int32_t i = units >> V::kLevels; i > 0; --i) add_top<V, P>(source, planes);
  keep<V, P>(planes, left);
}

// 16-bit counts: low: bytes 0, 2, ... of the lanes, high: the others.
template <class V>
FLIPFLOW_INLINE void add_up(const Left<V>& left, typename V::T& low, typename V::T& high) {
  const typename V::T small = V::weigh(left.planes[0], left.planes[1], left.planes[2], left.planes[3], left.planes[4]);
  V::widen(small, left.count, low, high);  // the byte counts are in units of 32
}

// --- convolutions ---

// The next output pixel, and how many are left.
struct Position {
  int32_t y, x, left;
};

// Weights that have not been asked for.
struct Ahead {
  const uint8_t *next, *end;

  template <class V, int P>
  FLIPFLOW_INLINE void count(Stream<V, P>& source, int32_t units, Left<V>* left) {
    source.ahead = next;
    source.ahead_step = next < end ? kAheadBytes : 0;
    count_units<V, P>(source, units, left);
    next += source.ahead_step * (units >> V::kLevels);
  }
};

// P pixels, all units, one block of 64 channels. Finish turns the counts into what is asked for.
template <class V, int P, class Finish>
FLIPFLOW_INLINE void run_tile(const Shape& s, const Window& w, const uint8_t* weights, const uint8_t* map, int64_t* offsets,
                              Ahead& ahead, Position& at, Finish& finish) {
  typename V::T low, high;
  Left<V> left[P];
  Stream<V, P> source;
  int32_t y[P], x[P];
  for (int p = 0; p < P; ++p) {
    y[p] = at.y, x[p] = at.x;
    if (++at.x == s.out_width) at.x = 0, ++at.y;
    source.pixels[p] = map + y[p] * s.stride_height * w.row_bytes + x[p] * s.stride_width * w.pixel_bytes;
  }
  at.left -= P;
  source.offset = 0;
  source.offsets = offsets;
  if (w.units <= kMaxUnits) {
    source.weights = weights;
    ahead.count(source, w.units, left);
    FLIPFLOW_KEEP_LOOP  // the code of a tile is to stay within the processor's cache of decoded instructions
    for (int p = 0; p < P; ++p) {
      add_up<V>(left[p], low, high);
      finish.narrow(y[p], x[p], low, high);
    }
    return;
  }
  alignas(64) int32_t total[P][64] = {}, counts[64];
  for (int32_t first = 0; first < w.units; first += kMaxUnits) {
    const int32_t units = least(kMaxUnits, w.units - first);
    fill_offsets(s, w, first, units, offsets);
    source.weights = weights + static_cast<int64_t>(first) * kUnitBytes;
    ahead.count(source, units, left);
    for (int p = 0; p < P; ++p) {
      add_up<V>(left[p], low, high);
      V::store_counts(counts, low, high);
      for (int i = 0; i < 64; ++i) total[p][i] += counts[i];
    }
  }
  for (int p = 0; p < P; ++p) finish.wide(y[p], x[p], total[p]);
}

// The pixels left of one block, in tiles of P and then of fewer. One pixel alone is slow, so none is left over if that can be.
template <class V, int P, class Finish>
FLIPFLOW_INLINE void run_tiles(const Shape& s, const Window& w, const uint8_t* weights, const uint8_t* map, int64_t* offsets,
                               Ahead& ahead, Position& at, Finish& finish) {
  while (at.left >= P && (P < 3 || at.left != P + 1)) run_tile<V, P>(s, w, weights, map, offsets, ahead, at, finish);
  if constexpr (P > 1) run_tiles<V, P - 1>(s, w, weights, map, offsets, ahead, at, finish);
}

template <class V, class Finish>
FLIPFLOW_INLINE void lanes_run(const Shape& s, const void* packed, const void* scratch, const Epilogue& epilogue,
                               const Outputs& out, const Share& share) {
  const Window w = window_of(s);
  const auto* map = static_cast<const uint8_t*>(scratch);
  const int64_t block = w.units * int64_t{kUnitBytes};
  int64_t offsets[kMaxUnits];
  fill_offsets(s, w, 0, least(w.units, kMaxUnits), offsets);
  for (int32_t first = share.channel_begin; first < share.channel_end; first += 64) {
    const uint8_t* weights = static_cast<const uint8_t*>(packed) + first / 64 * block;
    Finish finish(s, epilogue, out, first);
    // Each block's weights are read once, from far away, so that tiles ask for the next block's; behind the last lie, as plans are
    // written, those of the next convolution.
    Ahead ahead{weights + block, weights + 2 * block};
    Position at{share.row_begin, 0, (share.row_end - share.row_begin) * s.out_width};
    run_tiles<V, V::kPixels>(s, w, weights, map, offsets, ahead, at, finish);
  }
}

}  // namespace
}  // namespace flipflow
