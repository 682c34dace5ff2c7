// What the tests of loader and engine share: expectations that are counted, and a network small enough to calculate by hand.
#pragma once

#include <cstdio>
#include <string>

#include "plan_builder.h"

namespace flipflow::test {

inline int failures = 0;

inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

// 0 where everything held; says so.
inline int report(const char* program) {
  if (failures == 0) std::printf("%s: all passed\n", program);
  else std::printf("%s: %d failures\n", program, failures);
  return failures == 0 ? 0 : 1;
}

// Two pixels of two channels, thresholds, a 1x2 binary convolution.
inline PlanBuilder tiny() {
  PlanBuilder b;
  const int32_t input = b.tensor(Number::i8, 1, 2, 2, -10, 10);
  const int32_t bits = b.tensor(Number::bits, 1, 2, 2, 0, 1);
  const int32_t sums = b.tensor(Number::i32, 1, 1, 3, -4, 4);
  PlanOp threshold = b.op(OpKind::threshold_bits, "sign", input, bits);
  threshold.threshold = b.numbers<int8_t>(Element::i8, {0, 3});
  threshold.invert = b.numbers<uint64_t>(Element::u64, {2});
  b.add(threshold);
  PlanOp conv = b.op(OpKind::binary_conv, "dot", bits, sums);
  conv.kernel_height = 1, conv.kernel_width = 2;
  // Channels of output: all +1; the first pixel +1 and the second -1; alternating.
  conv.weights = b.numbers<uint64_t>(Element::bytes, {3, 3, 3, 0, 1, 1});
  b.add(conv);
  b.finish(input, sums, 3);
  return b;
}

}  // namespace flipflow::test
