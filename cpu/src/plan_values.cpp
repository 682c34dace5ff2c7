// Checks of values: that numbers are there for each channel, that clamps fit, and that no sum of a convolution can overflow.
#include <algorithm>
#include <cstdlib>

#include "layouts.h"
#include "plan.h"
#include "plan_check.h"
#include "status.h"

namespace flipflow {
namespace {

// Largest |acc| of each channel from its own weights: sum |w| * max |a|.
std::vector<int64_t> bounds_by_weights(const Plan& plan, const PlanOp& op, const Shape& shape, int64_t largest_input) {
  std::vector<int64_t> rows(rows_codec.bytes(shape) / sizeof(int64_t) + 1);  // of int64_t for its alignment
  codec_of(op.layout)->unpack(shape, plan.data(op.weights), rows.data());
  const size_t fan_in = static_cast<size_t>(shape.taps()) * shape.in_channels;
  std::vector<int64_t> bounds(shape.out_channels, 0);
  for (int32_t m = 0; m < shape.out_channels; ++m) {
    int64_t total = 0;
    for (size_t k = m * fan_in; k < (m + 1) * fan_in; ++k) {
      total += std::abs(shape.weights == Number::i16 ? int64_t{reinterpret_cast<const int16_t*>(rows.data())[k]}
                                                     : int64_t{reinterpret_cast<const int8_t*>(rows.data())[k]});
    }
    bounds[m] = total * largest_input;
  }
  return bounds;
}

bool fixed_fits(const Plan& plan, const PlanOp& op, int32_t m, int64_t bound) {
  const int64_t slope = std::abs(int64_t{plan.value(op.slope, m)}), bias = std::abs(int64_t{plan.value(op.bias, m)});
  return bound <= INT32_MAX && slope * bound + bias <= INT32_MAX;
}

// The channel whose sums, or fixed-point arithmetic, could overflow for |acc| <= bounds[m] (one for all, or one each); else -1.
int32_t overflowing(const Plan& plan, const PlanOp& op, int32_t channels, const std::vector<int64_t>& bounds) {
  for (int32_t m = 0; m < channels; ++m) {
    const int64_t bound = bounds[bounds.size() == 1 ? 0 : m];
    const bool fixed = op.form == Form::fixed || op.kind == OpKind::fixed_ints;
    if (fixed ? !fixed_fits(plan, op, m, bound) : bound > INT32_MAX) return m;
  }
  return -1;
}

void check_fixed(const Plan& plan, int32_t index, int32_t channels, Number widest) {
  const PlanOp& op = plan.op(index);
  check_numbers(plan, index, "slope", op.slope, channels);
  check_numbers(plan, index, "bias", op.bias, channels);
  check_numbers(plan, index, "shift", op.shift, channels);
  for (int32_t m = 0; m < channels; ++m) {
    const int32_t shift = plan.value(op.shift, m);
    if (shift < 0 || shift > 31) fail(Code::malformed, "%s: the shift of channel %d is %d, not 0 to 31", place(plan, index).c_str(), m, shift);
  }
  check_clamp(plan, index, "q", op.q_min, op.q_max, number_range(widest));
}

// The number type in which a convolution of form fixed stores its result, or reads its residual; i16 where it does neither.
Number fixed_number(const Plan& plan, const PlanOp& op) {
  if (op.out[0] != kNone) return plan.tensor(op.out[0]).number;
  return op.in[1] != kNone ? plan.tensor(op.in[1]).number : Number::i16;
}

}  // namespace

std::string place(const Plan& plan, int32_t op) {
  return "operator " + std::to_string(op) + " ('" + plan.name(plan.op(op)) + "')";
}

void check_numbers(const Plan& plan, int32_t index, const char* field, int32_t blob, int32_t channels) {
  if (blob == kNone) fail(Code::malformed, "%s has no %s", place(plan, index).c_str(), field);
  const PlanBlob& b = plan.blob(blob);
  uint64_t bits = 0;
  switch (b.element) {
    case Element::i8:
    case Element::u8: bits = 8; break;
    case Element::i16: bits = 16; break;
    case Element::i32: bits = 32; break;
    case Element::packed: bits = b.width; break;
    default: fail(Code::malformed, "%s: its %s is not a blob of integers", place(plan, index).c_str(), field);
  }
  const bool all = b.bytes == (static_cast<uint64_t>(channels) * bits + 7) / 8;
  if (!all && (b.element == Element::packed || b.bytes * uint64_t{8} != bits)) {
    fail(Code::malformed, "%s: its %s has %u bytes, neither one number nor one for each of %d channels", place(plan, index).c_str(), field,
         b.bytes, channels);
  }
}

void check_clamp(const Plan& plan, int32_t index, const char* field, int32_t low, int32_t high, Range allowed) {
  if (low > high || low < allowed.low || high > allowed.high) {
    fail(Code::malformed, "%s: the range %s = %d to %d is not within %lld to %lld", place(plan, index).c_str(), field, low, high,
         static_cast<long long>(allowed.low), static_cast<long long>(allowed.high));
  }
}

void set_range(const Plan& plan, int32_t index, int32_t tensor, Range range, std::vector<Range>& ranges) {
  const PlanTensor& t = plan.tensor(tensor);
  // i32 tensors may declare what the weights allow, which is less than what is proved here; others are clamped, so it is exact.
  const Range allowed = t.number == Number::i32 ? number_range(t.number) : Range{t.minimum, t.maximum};
  if (range.low < allowed.low || range.high > allowed.high) {
    fail(Code::malformed, "%s can give %lld to %lld, but tensor %d holds %lld to %lld", place(plan, index).c_str(),
         static_cast<long long>(range.low), static_cast<long long>(range.high), tensor, static_cast<long long>(allowed.low),
         static_cast<long long>(allowed.high));
  }
  ranges[tensor] = range;
}

void check_fixed_ints(const Plan& plan, int32_t index, std::vector<Range>& ranges) {
  const PlanOp& op = plan.op(index);
  const int32_t channels = plan.tensor(op.in[0]).channels;
  check_fixed(plan, index, channels, Number::i32);
  const Range v = ranges[op.in[0]];
  const int32_t worst = overflowing(plan, op, channels, {std::max(-v.low, v.high)});
  if (worst >= 0) fail(Code::malformed, "%s: the arithmetic of channel %d can overflow 32 bits", place(plan, index).c_str(), worst);
  set_range(plan, index, op.out[0], {op.q_min, op.q_max}, ranges);
}

void check_conv_values(const Plan& plan, int32_t index, std::vector<Range>& ranges) {
  const PlanOp& op = plan.op(index);
  const Shape shape = plan.shape(op);
  const int64_t taps = shape.taps();
  std::vector<int64_t> bounds(1);
  if (op.kind == OpKind::binary_conv) {
    // s = base - 2 * acc with base <= 2K and acc <= K, where K counts the unused bits of a word too.
    const int64_t fan_in = taps * shape.in_words() * 64;
    if (fan_in > kMaxBinaryFanIn) fail(Code::malformed, "%s: a fan-in of %lld is too large", place(plan, index).c_str(), static_cast<long long>(fan_in));
    bounds[0] = 2 * fan_in;
  } else {
    const Range a = ranges[op.in[0]], w = number_range(shape.weights);
    bounds[0] = taps * shape.in_channels * std::max(-a.low, a.high) * -w.low;
  }
  if (op.form == Form::fixed) check_fixed(plan, index, shape.out_channels, Number::i16);
  int32_t worst = overflowing(plan, op, shape.out_channels, bounds);
  if (worst >= 0 && op.kind == OpKind::integer_conv) {
    const Range a = ranges[op.in[0]];
    bounds = bounds_by_weights(plan, op, shape, std::max(-a.low, a.high));
    worst = overflowing(plan, op, shape.out_channels, bounds);
  }
  if (worst >= 0) fail(Code::malformed, "%s: the arithmetic of channel %d can overflow 32 bits", place(plan, index).c_str(), worst);
  Range range = {0, 1};
  if (op.form == Form::sums) {
    const int64_t bound = *std::max_element(bounds.begin(), bounds.end());
    range = {-bound, bound};
  } else if (op.form == Form::fixed) {
    range = {op.q_min, op.q_max};
    if (op.in[1] != kNone) {
      check_clamp(plan, index, "r", op.r_min, op.r_max, number_range(fixed_number(plan, op)));
      range = {op.r_min, op.r_max};
    }
  }
  if (op.out[0] != kNone) set_range(plan, index, op.out[0], range, ranges);
  if (op.out[1] != kNone) set_range(plan, index, op.out[1], {0, 1}, ranges);
}

}  // namespace flipflow
