// The instruction sets compiled into this library, and which of them this processor can run.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace flipflow {

// All that were compiled in, fastest first; those that only serve tests here (NEON through SIMDe) come after scalar.
const std::vector<const Kernels*>& compiled_kernels();

// The fastest one that this processor supports.
const Kernels& best_kernels();

// By name. "auto": the one named in the environment variable FLIPFLOW_ISA, else best_kernels().
// Throws Error (unsupported) where the set is not compiled in or the processor lacks it.
const Kernels& kernels_named(const std::string& isa);

}  // namespace flipflow
