// Which layout of weights an instruction set reads, and the codecs that write and read every layout on any machine.
#pragma once

#include <string_view>

#include "kernels/kernels.h"

namespace flipflow {

// The codec of a layout; null where the number names none.
const LayoutCodec* codec_of(Layout layout);

// Whether a layout holds the weights that `shape` describes (bits or integers of that width).
bool layout_fits(Layout layout, const Shape& shape);

// The layout that the kernels of `isa` read for this convolution. Foreign instruction sets are known too, so that any machine can
// write any plan. Throws Error (argument) where the name is not one of known_isas().
Layout layout_for(std::string_view isa, const Shape& shape);

// The name of a layout as in the plan's documentation; "?" where there is none.
const char* layout_name(Layout layout);

}  // namespace flipflow
