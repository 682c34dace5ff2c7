// What the NEON files share: the intrinsics, native or, under FLIPFLOW_SIMDE, as SIMDe's portable substitutes.
#pragma once

#if defined(FLIPFLOW_SIMDE)
#if !defined(__clang__)  // g++ 12 takes SIMDe's element-by-element stores for reads
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/arm/neon.h>
#define FLIPFLOW_VECTOR_CONSTRAINT "x"
#else
#include <arm_neon.h>
#define FLIPFLOW_VECTOR_CONSTRAINT "w"
#endif

#include <cstddef>
#include <cstdint>

#define FLIPFLOW_INLINE inline __attribute__((always_inline))

#if defined(__clang__)
#define FLIPFLOW_UNROLL _Pragma("clang loop unroll(full)")
#else
#define FLIPFLOW_UNROLL _Pragma("GCC unroll 32")
#endif

// Loops over steps of 128 fan-in bits: under SIMDe they stay loops, whose bodies are large enough.
#if defined(FLIPFLOW_SIMDE)
#define FLIPFLOW_STEPS
#else
#define FLIPFLOW_STEPS FLIPFLOW_UNROLL
#endif

// Empty statements that keep what is before them before what is after them, so that loads pair up and temporaries fit the registers.
#if defined(FLIPFLOW_SIMDE)
#define FLIPFLOW_SETTLE(a, b)
#define FLIPFLOW_SETTLE_ONE(a)
#else
#define FLIPFLOW_SETTLE(a, b) asm volatile("" : "+w"(a), "+w"(b))
#define FLIPFLOW_SETTLE_ONE(a) asm volatile("" : "+w"(a))
#endif
