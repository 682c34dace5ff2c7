// A convolution of a plan, ready to run: its kernel, weights in the kernel's layout, constants, and how threads share it.
#pragma once

#include "constants.h"
#include "ops.h"
#include "plan.h"
#include "pool.h"
#include "store.h"

namespace flipflow {

// Max-pooling fused behind a convolution: threads share the pooled rows, and each computes a few rows of the convolution at a time
// into a small buffer, so that the whole map before the pool never exists.
struct FusedPool {
  Window window;
  Fires fires;                // where bits of the pooled numbers are wanted
  int32_t buffer_rows = 0;    // of the convolution, in one thread's buffer
  int32_t carried_rows = 0;   // at most so many of them are kept for the next pooled rows
  size_t scratch = 0;         // bytes for the kernel, then
  size_t buffer = 0;          // bytes for the rows, then
  size_t line = 0;            // bytes for one of them, then
  size_t pooled = 0;          // bytes for pooled rows where only bits are wanted
  size_t thread_bytes() const { return scratch + buffer + line + pooled; }
};

struct Conv {
  Shape shape;
  const ConvKernel* kernel;
  const void* weights;
  Epilogue epilogue;
  bool fallback;  // to the scalar kernel, because the set's own does not accept the shape
  bool repacked;  // because the plan holds another layout than the kernel reads
  bool by_rows;   // how threads share it; else by blocks of 64 channels
  bool pools;
  FusedPool pool;
};

// Chooses the kernel and derives what it needs. `repacked_bytes` grows by the weights that were copied.
Conv make_conv(const Plan& plan, const PlanOp& op, const Kernels& kernels, int threads, Store& constants, size_t& repacked_bytes);

// Scratch memory that run_conv needs.
size_t conv_scratch_bytes(const Conv& conv, int threads);

void run_conv(const Conv& conv, const void* input, const Outputs& out, void* scratch, Pool& pool);

// Of fused_pool.cpp: the sizes of the buffers, and the convolution with its pool.
FusedPool make_fused_pool(const PlanOp& op, const Shape& shape, const ConvKernel& kernel, const PlanTensor& pooled, Number fixed,
                          int threads);
void run_fused_pool(const Conv& conv, const void* input, const Outputs& out, void* scratch, Pool& pool);

// Part `part` of `parts` of 0..count-1: [begin, end).
struct Band {
  int32_t begin, end;
};
inline Band band_of(int32_t count, int32_t part, int32_t parts) {
  return {static_cast<int32_t>(int64_t{count} * part / parts), static_cast<int32_t>(int64_t{count} * (part + 1) / parts)};
}

}  // namespace flipflow
