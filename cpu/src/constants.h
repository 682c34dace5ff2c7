// Constants that kernels want, derived from those in the plan: per border class, in terms of what the kernel counts.
#pragma once

#include "ops.h"
#include "plan.h"
#include "store.h"

namespace flipflow {

// The epilogue of a convolution. `rows`: the weights in Layout::rows; only read where borders_need_weights().
Epilogue make_epilogue(const Plan& plan, const PlanOp& op, const Shape& shape, const void* rows, Store& store);

// Whether the border classes differ, so that their constants depend on the weights: zero padding of binary convolutions.
bool borders_need_weights(const PlanOp& op);

// One number for each of `channels` rounded up to 64, from a blob that holds one for each or a single one.
int32_t* expand(const Plan& plan, int32_t blob, int32_t channels, Store& store);

// One word for each 64 channels; unused bits 0; all 0 where the operator inverts nothing.
uint64_t* invert_words(const Plan& plan, const PlanOp& op, int32_t channels, Store& store);

// Thresholds as ops.h wants them, for values of type `number`.
Fires make_fires(const Plan& plan, const PlanOp& op, int32_t channels, Number number, Store& store);

}  // namespace flipflow
