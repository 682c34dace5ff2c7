#include "layouts.h"

#include "status.h"

namespace flipflow {
namespace {

struct Choice {
  std::string_view isa;
  Layout binary, bytes, shorts;  // bytes: u8 or i8 inputs with i8 weights; shorts: i16 inputs with i8 weights
};

constexpr Choice kChoices[] = {
    {"scalar", Layout::rows, Layout::rows, Layout::rows},
    {"avx2", Layout::lanes, Layout::dot4x16, Layout::dot4x16},
    {"avx512bw", Layout::lanes, Layout::dot4x16, Layout::rows},
    {"avx512", Layout::lanes, Layout::dot4x16, Layout::rows},
    {"neon", Layout::quads, Layout::dot4x4, Layout::rows},
    {"neon_dot", Layout::quads, Layout::dot4x4, Layout::rows},
};

}  // namespace

const LayoutCodec* codec_of(Layout layout) {
  switch (layout) {
    case Layout::rows: return &rows_codec;
    case Layout::lanes: return &lanes_codec;
    case Layout::quads: return &quads_codec;
    case Layout::dot4x16: return &dot4x16_codec;
    case Layout::dot4x4: return &dot4x4_codec;
    default: return nullptr;
  }
}

bool layout_fits(Layout layout, const Shape& shape) {
  switch (layout) {
    case Layout::rows: return true;
    case Layout::lanes:
    case Layout::quads: return shape.weights == Number::bits;
    case Layout::dot4x16:
    case Layout::dot4x4: return shape.weights == Number::i8;
    default: return false;
  }
}

Layout layout_for(std::string_view isa, const Shape& shape) {
  for (const Choice& choice : kChoices) {
    if (choice.isa != isa) continue;
    if (shape.weights == Number::bits) return choice.binary;
    if (shape.weights != Number::i8) return Layout::rows;
    return shape.input == Number::i16 ? choice.shorts : choice.bytes;
  }
  fail(Code::argument, "there is no instruction set '%.*s'; known are scalar, avx2, avx512bw, avx512, neon and neon_dot",
       static_cast<int>(isa.size()), isa.data());
}

const char* layout_name(Layout layout) {
  constexpr const char* kNames[] = {"rows", "lanes", "quads", "dot4x16", "dot4x4"};
  return static_cast<uint32_t>(layout) < 5 ? kNames[static_cast<uint32_t>(layout)] : "?";
}

}  // namespace flipflow
