// When the two ends of an accelerator hold back. Shared by the cycle model and the Verilator harness, so that one seed
// gives both the same back-pressure, cycle for cycle.
#pragma once

#include <cstdint>

namespace flipflow {

// Holds a stream back in a cycle with a fixed probability. Stateless: the answer depends on seed, stream and cycle only
// (the finalizer of splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
class Stall {
 public:
  // probability: 0 (never) up to, and without, 1. stream: tells the ends of one run apart.
  Stall(double probability, uint64_t seed, uint64_t stream)
      : limit_(static_cast<uint64_t>(probability * 4294967296.0)), key_(mix(seed * 2 + stream + 1)) {}

  bool operator()(int64_t cycle) const {
    return limit_ != 0 && (mix(key_ + static_cast<uint64_t>(cycle) * 0x9E3779B97F4A7C15ULL) >> 32) < limit_;
  }

 private:
  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

  uint64_t limit_;
  uint64_t key_;
};

constexpr uint64_t kSourceStream = 0;
constexpr uint64_t kSinkStream = 1;

}  // namespace flipflow
