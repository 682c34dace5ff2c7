// The inner part of the binary NEON kernels: mismatches of up to 4 pixels with quads of 4 channels (Layout::quads).
//
// Fan-in runs along the vectors: one step is 128 fan-in bits of P pixels and 4 channels, 3 vector operations for each pair
// (eor, cnt, add.u8). Bytes hold the sums of up to 31 steps; then a tree of pairwise additions leaves one vector of 4 channels a
// pixel. An odd last word takes half a step: the word twice beside the words of 2 channels, added once their sums share a vector.
//
// Activations of a tile: [steps][P pixels][16 bytes], and where the words are odd, the last one twice: [P pixels][16 bytes].
#pragma once

#include "kernels/neon_common.h"

namespace flipflow {
namespace {

// Under FLIPFLOW_MCA the assembly carries marks around the steps of a chunk, for cpu/arm/measure.py.
#if defined(FLIPFLOW_MCA)
#define FLIPFLOW_MARK(what) asm volatile("// LLVM-MCA-" what : : : "memory")
#else
#define FLIPFLOW_MARK(what)
#endif

constexpr int kMaxChunk = 31;  // steps that a byte can count: 31 * 8 <= 255

FLIPFLOW_INLINE uint8x16_t mismatches(uint8x16_t a, uint8x16_t w) { return vcntq_u8(veorq_u8(a, w)); }

// Totals of 4 channels: uint32, or for fan-ins below 65536 as uint16 with 2 lanes a channel, whose sums meet later.
template <class Ops>
FLIPFLOW_INLINE uint32x4_t add_bytes(uint32x4_t total, uint8x16_t fours) { return Ops::add_fours(total, fours); }
template <class Ops>
FLIPFLOW_INLINE uint16x8_t add_bytes(uint16x8_t total, uint8x16_t fours) { return vpadalq_u8(total, fours); }
FLIPFLOW_INLINE uint32x4_t add_pairs(uint32x4_t total, uint16x8_t pairs) { return vpadalq_u16(total, pairs); }
FLIPFLOW_INLINE uint16x8_t add_pairs(uint16x8_t total, uint16x8_t pairs) { return vaddq_u16(total, pairs); }

// Ends a chunk of `kSteps` steps (0: up to 31) for one pixel: total of channel += all bytes of acc[channel]. `word`: the odd
// word's activation bits twice, with the weights' odd words of 4 channels at `odd`, if kOdd.
template <class Ops, int kSteps, bool kOdd, class Total>
FLIPFLOW_INLINE Total reduce(Total total, const uint8x16_t acc[4], uint8x16_t word, const uint8_t* odd) {
  uint8x16_t first, second;
  if (kOdd) {
    first = mismatches(word, vld1q_u8(odd));
    second = mismatches(word, vld1q_u8(odd + 16));
  }
  if (kSteps > 0 && kSteps <= 15) {  // pairs of channels still fit bytes: at most 15 * 16 + 8
    uint8x16_t low = vpaddq_u8(acc[0], acc[1]), high = vpaddq_u8(acc[2], acc[3]);
    if (kOdd) {
      low = vaddq_u8(low, first);
      high = vaddq_u8(high, second);
    }
    if (kSteps <= 7) return add_bytes<Ops>(total, vpaddq_u8(low, high));  // at most 7 * 32 + 16
    return add_pairs(total, vpaddq_u16(vpaddlq_u8(low), vpaddlq_u8(high)));
  }
  uint16x8_t low = vpaddq_u16(vpaddlq_u8(acc[0]), vpaddlq_u8(acc[1]));
  uint16x8_t high = vpaddq_u16(vpaddlq_u8(acc[2]), vpaddlq_u8(acc[3]));
  if (kOdd) {
    low = vpadalq_u8(low, first);
    high = vpadalq_u8(high, second);
  }
  return add_pairs(total, vpaddq_u16(low, high));
}

// A pointer whose origin the compiler does not see, so that loads count from one register and pair up.
FLIPFLOW_INLINE const uint8_t* opaque(const uint64_t* pointer) {
  auto* bytes = reinterpret_cast<const uint8_t*>(pointer);
  asm volatile("" : "+r"(bytes));
  return bytes;
}

template <int P, bool kFirst>
FLIPFLOW_INLINE void step(const uint8_t* a, const uint8_t* w, uint8x16_t acc[P][4]) {
  const uint8x16_t weight[4] = {vld1q_u8(w), vld1q_u8(w + 16), vld1q_u8(w + 32), vld1q_u8(w + 48)};
  uint8x16_t act[P];
  FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
    if (p % 2 == 0) {
      act[p] = vld1q_u8(a + 16 * p);
      if (p + 1 < P) {
        act[p + 1] = vld1q_u8(a + 16 * p + 16);
        FLIPFLOW_SETTLE(act[p], act[p + 1]);
      }
    }
    FLIPFLOW_UNROLL for (int c = 0; c < 4; ++c) {
      const uint8x16_t count = mismatches(act[p], weight[c]);
      acc[p][c] = kFirst ? count : vaddq_u8(acc[p][c], count);
    }
    FLIPFLOW_SETTLE(acc[p][0], acc[p][1]);
    FLIPFLOW_SETTLE(acc[p][2], acc[p][3]);
  }
}

// One chunk of a number of steps known at compile time, or `steps` >= 1 where kSteps is 0.
template <int P, int kSteps>
FLIPFLOW_INLINE void chunk(int steps, const uint8_t* a, const uint8_t* w, uint8x16_t acc[P][4]) {
  FLIPFLOW_MARK("BEGIN");
  step<P, true>(a, w, acc);
  if (kSteps > 0) {
    FLIPFLOW_STEPS for (int k = 1; k < kSteps; ++k) step<P, false>(a + 16 * P * k, w + 64 * k, acc);
    FLIPFLOW_MARK("END");
    return;
  }
  for (int k = 1; k < steps; ++k) {
    a += 16 * P;
    w += 64;
    step<P, false>(a, w, acc);
  }
}

// total[p] of each channel += mismatches of pixel p with the quad at w, over `steps` steps (a multiple of kSteps, if that is not 0) and
// the odd word.
template <class Ops, int P, int kSteps, bool kOdd, class Total>
FLIPFLOW_INLINE void quad(int steps, const uint8_t* a, const uint8_t* w, Total total[P]) {
  const uint8_t* odd = w + 64 * static_cast<size_t>(steps);
  const uint8_t* odd_words = a + 16 * P * static_cast<size_t>(steps);
  uint8x16_t acc[P][4];
  while (steps > (kOdd ? (kSteps > 0 ? kSteps : kMaxChunk) : 0)) {
    const int now = kSteps > 0 ? kSteps : (steps < kMaxChunk ? steps : kMaxChunk);
    chunk<P, kSteps>(now, a, w, acc);
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) total[p] = reduce<Ops, kSteps, false>(total[p], acc[p], acc[p][0], nullptr);
    a += 16 * P * static_cast<size_t>(now);
    w += 64 * static_cast<size_t>(now);
    steps -= now;
  }
  if (!kOdd) return;
  if (steps > 0) {
    chunk<P, kSteps>(steps, a, w, acc);
  } else {
    FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
      FLIPFLOW_UNROLL for (int c = 0; c < 4; ++c) acc[p][c] = vdupq_n_u8(0);
    }
  }
  FLIPFLOW_UNROLL for (int p = 0; p < P; ++p) {
    total[p] = reduce<Ops, kSteps, true>(total[p], acc[p], vld1q_u8(odd_words + 16 * p), odd);
  }
}

}  // namespace
}  // namespace flipflow
