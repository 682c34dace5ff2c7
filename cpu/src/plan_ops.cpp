// Checks of operators: which tensors they join, their shapes, and the blobs they need.
#include <algorithm>

#include "layouts.h"
#include "plan.h"
#include "plan_check.h"
#include "status.h"

namespace flipflow {
namespace {

bool is_map_of(const PlanTensor& t, int64_t height, int64_t width, int64_t channels) {
  return t.height == height && t.width == width && t.channels == channels;
}

void check_window(const Plan& plan, int32_t index, const char* what, int64_t kernel_height, int64_t kernel_width, int64_t stride_height,
                  int64_t stride_width, std::initializer_list<int32_t> pads) {
  const bool sizes = kernel_height >= 1 && kernel_width >= 1 && stride_height >= 1 && stride_width >= 1 && kernel_height <= kMaxSide &&
                     kernel_width <= kMaxSide && stride_height <= kMaxSide && stride_width <= kMaxSide &&
                     kernel_height * kernel_width <= kMaxTaps;
  const bool padded = std::all_of(pads.begin(), pads.end(), [](int32_t pad) { return pad >= 0 && pad <= kMaxSide; });
  if (!sizes || !padded) {
    fail(Code::malformed, "%s: %s %lld x %lld, stride %lld x %lld or its padding is out of range", place(plan, index).c_str(), what,
         static_cast<long long>(kernel_height), static_cast<long long>(kernel_width), static_cast<long long>(stride_height),
         static_cast<long long>(stride_width));
  }
}

// Positions of a window along one side; refuses a window that is larger than the padded map.
int64_t positions(const Plan& plan, int32_t index, int64_t size, int64_t pads, int64_t kernel, int64_t stride) {
  if (size + pads < kernel) {
    fail(Code::malformed, "%s: a window of %lld does not fit a map of %lld with %lld of padding", place(plan, index).c_str(),
         static_cast<long long>(kernel), static_cast<long long>(size), static_cast<long long>(pads));
  }
  return (size + pads - kernel) / stride + 1;
}

void check_invert(const Plan& plan, int32_t index, int32_t channels) {
  const PlanOp& op = plan.op(index);
  if (op.invert == kNone) return;
  const PlanBlob& b = plan.blob(op.invert);
  if (b.element != Element::u64 || b.bytes != (static_cast<uint64_t>(channels) + 63) / 64 * 8) {
    fail(Code::malformed, "%s: invert is not one 64-bit word for each 64 of %d channels", place(plan, index).c_str(), channels);
  }
}

void want(const Plan& plan, int32_t index, bool holds, const char* rule) {
  if (!holds) fail(Code::malformed, "%s: %s", place(plan, index).c_str(), rule);
}

bool integers(const PlanTensor& t) { return t.number != Number::bits; }
bool small(Number number) { return number == Number::u8 || number == Number::i8 || number == Number::i16; }

// --- convolutions ---

void check_conv_outputs(const Plan& plan, int32_t index) {
  const PlanOp& op = plan.op(index);
  const bool fixed = op.form == Form::fixed;
  want(plan, index, op.form <= Form::fixed, "its form is not sums, bits or fixed");
  want(plan, index, op.out[0] != kNone || (fixed && op.out[1] != kNone), "it has no output");
  want(plan, index, fixed || op.out[1] == kNone, "only the form fixed has a second output");
  want(plan, index, fixed || op.in[1] == kNone, "only the form fixed has a residual");
  if (op.out[0] != kNone) {
    const Number number = plan.tensor(op.out[0]).number;
    if (op.form == Form::sums) want(plan, index, number == Number::i32, "sums are not written to an i32 tensor");
    if (op.form == Form::bits) want(plan, index, number == Number::bits, "bits are not written to a tensor of bits");
    if (fixed) want(plan, index, small(number), "fixed-point results are not written to an i8, u8 or i16 tensor");
  }
  if (op.out[1] != kNone) want(plan, index, plan.tensor(op.out[1]).number == Number::bits, "its second output is not a tensor of bits");
}

void check_conv_shapes(const Plan& plan, int32_t index, int32_t channels) {
  const PlanOp& op = plan.op(index);
  const PlanTensor& in = plan.tensor(op.in[0]);
  int64_t height = positions(plan, index, in.height, int64_t{op.pad_top} + op.pad_bottom, op.kernel_height, op.stride_height);
  int64_t width = positions(plan, index, in.width, int64_t{op.pad_left} + op.pad_right, op.kernel_width, op.stride_width);
  const int64_t rows = (height - 1) * op.stride_height + op.kernel_height, columns = (width - 1) * op.stride_width + op.kernel_width;
  want(plan, index, rows * columns * ((int64_t{in.channels} + 63) / 64 * 64) <= kMaxElements && height * width * channels <= kMaxElements,
       "its maps are larger than this engine takes");
  if (op.pool_kernel_height != 0) {
    want(plan, index, op.kind == OpKind::integer_conv && op.form == Form::fixed && op.in[1] == kNone,
         "only integer convolutions of form fixed and without residual may pool");
    want(plan, index, std::max(op.pad_top, op.pad_bottom) < op.kernel_height, "it pools, and its padding is not smaller than its kernel");
    want(plan, index, op.pool_kernel_height <= kMaxFusedPool, "its pool window is too high; pools of their own may be higher");
    check_window(plan, index, "pool window", op.pool_kernel_height, op.pool_kernel_width, op.pool_stride_height, op.pool_stride_width,
                 {op.pool_pad_top, op.pool_pad_left, op.pool_pad_bottom, op.pool_pad_right});
    want(plan, index, std::max(op.pool_pad_top, op.pool_pad_bottom) < op.pool_kernel_height &&
                          std::max(op.pool_pad_left, op.pool_pad_right) < op.pool_kernel_width,
         "its pool's padding is not smaller than the window");
    height = positions(plan, index, height, int64_t{op.pool_pad_top} + op.pool_pad_bottom, op.pool_kernel_height, op.pool_stride_height);
    width = positions(plan, index, width, int64_t{op.pool_pad_left} + op.pool_pad_right, op.pool_kernel_width, op.pool_stride_width);
  }
  for (const int32_t t : {op.in[1], op.out[0], op.out[1]}) {
    if (t == kNone || is_map_of(plan.tensor(t), height, width, channels)) continue;
    fail(Code::malformed, "%s gives a map of %lld x %lld x %d, but tensor %d is %d x %d x %d", place(plan, index).c_str(),
         static_cast<long long>(height), static_cast<long long>(width), channels, t, plan.tensor(t).height, plan.tensor(t).width,
         plan.tensor(t).channels);
  }
  if (op.in[1] != kNone) {
    const Number number = plan.tensor(op.in[1]).number;
    want(plan, index, small(number), "its residual is not an i8, u8 or i16 tensor");
    want(plan, index, op.out[0] == kNone || plan.tensor(op.out[0]).number == number, "its residual and its result differ in number type");
  }
}

void check_conv_weights(const Plan& plan, int32_t index, int32_t channels) {
  const PlanOp& op = plan.op(index);
  const Shape shape = plan.shape(op);
  want(plan, index, op.weights != kNone, "it has no weights");
  want(plan, index, int64_t{channels} * shape.taps() * ((int64_t{shape.in_channels} + 63) / 64 * 64) <= kMaxElements,
       "it has more weights than this engine takes");
  const LayoutCodec* codec = codec_of(op.layout);
  if (codec == nullptr) fail(Code::malformed, "%s: there is no layout %u", place(plan, index).c_str(), static_cast<uint32_t>(op.layout));
  if (!layout_fits(op.layout, shape)) {
    fail(Code::malformed, "%s: layout %s does not hold weights of type %s for inputs of type %s", place(plan, index).c_str(),
         layout_name(op.layout), number_name(shape.weights), number_name(shape.input));
  }
  const uint64_t needed = codec->bytes(shape);
  const PlanBlob& weights = plan.blob(op.weights);
  if (weights.bytes != needed) {
    fail(Code::malformed, "%s: its weights have %u bytes, but layout %s needs %llu", place(plan, index).c_str(), weights.bytes,
         layout_name(op.layout), static_cast<unsigned long long>(needed));
  }
  want(plan, index, weights.offset % 64 == 0, "its weights do not lie at a multiple of 64");
}

// In layout rows the unused bits of a word would count as mismatches. Other layouts cannot be looked at so cheaply; there such bits only
// make sums larger, within the bounds that check_conv_values allows for.
void check_unused_bits(const Plan& plan, int32_t index) {
  const PlanOp& op = plan.op(index);
  const Shape shape = plan.shape(op);
  const int32_t words = shape.in_words(), used = shape.in_channels % 64;
  if (op.layout != Layout::rows || used == 0) return;
  const auto* weights = static_cast<const uint64_t*>(plan.data(op.weights));
  const int64_t count = int64_t{shape.out_channels} * shape.taps();
  for (int64_t i = 0; i < count; ++i) {
    want(plan, index, weights[(i + 1) * words - 1] >> used == 0, "its weights have bits beyond the last channel");
  }
}

void check_conv(const Plan& plan, int32_t index, std::vector<Range>& ranges) {
  const PlanOp& op = plan.op(index);
  const bool binary = op.kind == OpKind::binary_conv;
  check_conv_outputs(plan, index);
  const Number number = plan.tensor(op.in[0]).number;
  want(plan, index, binary ? number == Number::bits : small(number), "its input has the wrong number type");
  want(plan, index, binary ? op.weight_number == Number::bits : op.weight_number == Number::i8 || op.weight_number == Number::i16,
       "its weights have the wrong number type");
  check_window(plan, index, "kernel", op.kernel_height, op.kernel_width, op.stride_height, op.stride_width,
               {op.pad_top, op.pad_left, op.pad_bottom, op.pad_right});
  const bool pads = op.pad_top != 0 || op.pad_left != 0 || op.pad_bottom != 0 || op.pad_right != 0;
  want(plan, index, binary ? op.pad_kind <= 3 && (op.pad_kind != 0 || !pads) : op.pad_kind <= 1, "its kind of padding is unknown or missing");
  const int32_t channels = plan.tensor(op.out[0] != kNone ? op.out[0] : op.out[1]).channels;
  check_conv_shapes(plan, index, channels);
  check_conv_weights(plan, index, channels);
  if (binary) check_unused_bits(plan, index);
  if (op.form == Form::bits || op.out[1] != kNone) {
    check_numbers(plan, index, "threshold", op.threshold, channels);
    check_invert(plan, index, channels);
  }
  check_conv_values(plan, index, ranges);
}

// --- the others ---

void check_pool(const Plan& plan, int32_t index, std::vector<Range>& ranges) {
  const PlanOp& op = plan.op(index);
  const PlanTensor &in = plan.tensor(op.in[0]), &out = plan.tensor(op.out[0]);
  check_window(plan, index, "window", op.kernel_height, op.kernel_width, op.stride_height, op.stride_width,
               {op.pad_top, op.pad_left, op.pad_bottom, op.pad_right});
  want(plan, index, std::max(op.pad_top, op.pad_bottom) < op.kernel_height && std::max(op.pad_left, op.pad_right) < op.kernel_width,
       "its padding is not smaller than the window");
  const int64_t height = positions(plan, index, in.height, int64_t{op.pad_top} + op.pad_bottom, op.kernel_height, op.stride_height);
  const int64_t width = positions(plan, index, in.width, int64_t{op.pad_left} + op.pad_right, op.kernel_width, op.stride_width);
  if (!is_map_of(out, height, width, in.channels)) {
    fail(Code::malformed, "%s gives a map of %lld x %lld x %d, but tensor %d is %d x %d x %d", place(plan, index).c_str(),
         static_cast<long long>(height), static_cast<long long>(width), in.channels, op.out[0], out.height, out.width, out.channels);
  }
  Range range = ranges[op.in[0]];
  if (op.kind == OpKind::bit_pool) {
    want(plan, index, in.number == Number::bits && out.number == Number::bits, "it does not join two tensors of bits");
  } else if (op.kind == OpKind::int_pool) {
    want(plan, index, integers(in) && in.number == out.number, "it does not join two integer tensors of one number type");
  } else {
    want(plan, index, integers(in) && (out.number == Number::i16 || out.number == Number::i32), "it does not join integers and i16 or i32");
    const int64_t taps = int64_t{op.kernel_height} * op.kernel_width;
    range = {std::min<int64_t>(range.low * taps, range.low), std::max<int64_t>(range.high * taps, range.high)};
  }
  if (op.kind != OpKind::sum_pool) check_invert(plan, index, in.channels);
  set_range(plan, index, op.out[0], range, ranges);
}

void check_levels(const Plan& plan, int32_t index, int32_t channels, int64_t count) {
  const PlanOp& op = plan.op(index);
  want(plan, index, op.levels != kNone, "it has no levels");
  const PlanBlob& b = plan.blob(op.levels);
  want(plan, index, b.element == Element::i32 && count >= 1 && b.bytes == static_cast<uint64_t>(channels) * count * 4,
       "its levels are not one i32 for each channel and step of the output's range");
  const auto* levels = static_cast<const int32_t*>(plan.data(op.levels));
  for (int32_t c = 0; c < channels; ++c, levels += count) {
    if (!std::is_sorted(levels, levels + count)) {
      fail(Code::malformed, "%s: the levels of channel %d do not rise", place(plan, index).c_str(), c);
    }
  }
}

void check_elementwise(const Plan& plan, int32_t index, std::vector<Range>& ranges) {
  const PlanOp& op = plan.op(index);
  const PlanTensor &in = plan.tensor(op.in[0]), &out = plan.tensor(op.out[0]);
  want(plan, index, integers(in), "its input is not an integer tensor");
  want(plan, index, is_map_of(out, in.height, in.width, in.channels), "its output has another size than its input");
  if (op.kind == OpKind::fixed_ints) {
    want(plan, index, integers(out), "its output is not an integer tensor");
    return check_fixed_ints(plan, index, ranges);
  }
  Range range = {0, 1};
  if (op.kind == OpKind::threshold_bits) {
    want(plan, index, out.number == Number::bits, "its output is not a tensor of bits");
    check_numbers(plan, index, "threshold", op.threshold, in.channels);
    check_invert(plan, index, in.channels);
  } else if (op.kind == OpKind::threshold_ints) {
    want(plan, index, integers(out), "its output is not an integer tensor");
    check_levels(plan, index, in.channels, int64_t{out.maximum} - out.minimum);
    check_invert(plan, index, in.channels);
    range = {out.minimum, out.maximum};
  } else {
    const PlanTensor& other = plan.tensor(op.in[1]);
    want(plan, index, integers(other) && integers(out), "it does not join integer tensors");
    want(plan, index, is_map_of(other, in.height, in.width, in.channels), "its inputs differ in size");
    const Range a = ranges[op.in[0]], b = ranges[op.in[1]];
    want(plan, index, a.low + b.low >= INT32_MIN && a.high + b.high <= INT32_MAX, "its sums can overflow");
    check_clamp(plan, index, "r", op.r_min, op.r_max, number_range(out.number));
    range = {op.r_min, op.r_max};
  }
  set_range(plan, index, op.out[0], range, ranges);
}

}  // namespace

void check_op(const Plan& plan, int32_t index, std::vector<Range>& ranges) {
  const PlanOp& op = plan.op(index);
  if (op.kind > OpKind::fixed_ints) fail(Code::malformed, "%s has the unknown kind %u", place(plan, index).c_str(), static_cast<uint32_t>(op.kind));
  want(plan, index, op.in[0] != kNone, "it has no input");
  if (op.kind == OpKind::binary_conv || op.kind == OpKind::integer_conv) return check_conv(plan, index, ranges);
  want(plan, index, op.out[0] != kNone && op.out[1] == kNone, "it has not exactly one output");
  want(plan, index, (op.kind == OpKind::add) == (op.in[1] != kNone), "it has the wrong number of inputs");
  if (op.kind == OpKind::add || op.kind == OpKind::threshold_bits || op.kind == OpKind::threshold_ints ||
      op.kind == OpKind::fixed_ints) {
    return check_elementwise(plan, index, ranges);
  }
  check_pool(plan, index, ranges);
}

}  // namespace flipflow
