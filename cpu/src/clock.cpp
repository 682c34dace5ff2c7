#include "clock.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace flipflow {

double clock_ghz() {
  constexpr int kRounds = 8, kSteps = 1 << 17, kChain = 8;
  double fastest = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    uint64_t x = 1;
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < kSteps; ++i) {
#if defined(__x86_64__)
      asm volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(x));
#elif defined(__aarch64__)
      asm volatile("add %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\t"
                   "add %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1" : "+r"(x));
#else
      for (int k = 0; k < kChain; ++k) asm volatile("" : "+r"(x += 1));
#endif
    }
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - before;
    fastest = std::min(fastest, time.count());
  }
  return static_cast<double>(kSteps) * kChain / fastest;
}

}  // namespace flipflow
