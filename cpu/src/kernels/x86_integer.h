// Integer convolutions of the x86 sets: u8 or i8 activations (the madd kernels also i16) with i8 weights,
// Layout::dot4x16.
//
//   vnni: vpdpbusd, 64 MAC an instruction. It wants unsigned activations: signed ones are stored with 128 added, and the
//         accumulators start at -128 * (sum of the channel's weights), which takes as long as one more pixel.
//   madd: activations and weights widened to int16, vpmaddwd: exact whatever the numbers are. vpmaddubsw is not used: it
//         saturates, at 255 * 127 + 255 * 127 for one. Weights are widened once for all tiles where there
//         is room.
//
// The kernels are constants, not objects of another file: a table made of them needs no code that runs at start-up,
// which would be compiled for an instruction set that the processor may not have.
#pragma once

#include "kernels/kernels.h"

namespace flipflow {
namespace x86_integer {

bool accepts_bytes(const Shape&);   // u8, i8 with i8 weights
bool accepts_shorts(const Shape&);  // u8, i8, i16 with i8 weights
int32_t padded_rows(const Shape&);
size_t scratch_of_bytes(const Shape&);
size_t scratch_of_shorts(const Shape&);
void prepare_bytes(const Shape&, const void* input, void* scratch, int32_t begin, int32_t end);
void prepare_shorts(const Shape&, const void* input, void* scratch, int32_t begin, int32_t end);

void run_avx2(const Shape&, const void*, const void*, const Epilogue&, const Outputs&, const Share&);
void run_avx512bw(const Shape&, const void*, const void*, const Epilogue&, const Outputs&, const Share&);
void run_avx512vnni(const Shape&, const void*, const void*, const Epilogue&, const Outputs&, const Share&);

// VNNI where this processor has it, else madd.
size_t scratch_best(const Shape&);
void prepare_best(const Shape&, const void* input, void* scratch, int32_t begin, int32_t end);
void run_best(const Shape&, const void*, const void*, const Epilogue&, const Outputs&, const Share&);

}  // namespace x86_integer

constexpr ConvKernel avx2_integer = {
    "integer/avx2-madd",          Layout::dot4x16,
    x86_integer::accepts_shorts,  x86_integer::scratch_of_shorts,
    x86_integer::padded_rows,     x86_integer::prepare_shorts,
    x86_integer::run_avx2};

constexpr ConvKernel avx512vnni_integer = {
    "integer/avx512-vnni",       Layout::dot4x16,
    x86_integer::accepts_bytes,  x86_integer::scratch_of_bytes,
    x86_integer::padded_rows,    x86_integer::prepare_bytes,
    x86_integer::run_avx512vnni};

// Needs AVX512F, BW, DQ and VL.
constexpr ConvKernel avx512madd_integer = {
    "integer/avx512-madd",        Layout::dot4x16,
    x86_integer::accepts_shorts,  x86_integer::scratch_of_shorts,
    x86_integer::padded_rows,     x86_integer::prepare_shorts,
    x86_integer::run_avx512bw};

// For the set without VPOPCNTDQ, which some processors with VNNI use: one of the two above, chosen when it runs.
constexpr ConvKernel avx512bw_integer = {
    "integer/avx512bw",          Layout::dot4x16,
    x86_integer::accepts_bytes,  x86_integer::scratch_best,
    x86_integer::padded_rows,    x86_integer::prepare_best,
    x86_integer::run_best};

}  // namespace flipflow
