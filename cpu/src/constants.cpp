#include "constants.h"

#include <algorithm>
#include <utility>

#include "kernels/epilogue.h"
#include "plan_check.h"
#include "status.h"

namespace flipflow {
namespace {

// How many taps of a window lie before and behind the map, for each distinct case along one side of the output.
struct Side {
  std::vector<std::pair<int32_t, int32_t>> clips;
  int32_t* class_of;  // [positions]: index into clips, times `factor`
};

Side clip_side(int32_t size, int32_t kernel, int32_t stride, int32_t pad, int32_t positions, bool distinct, Store& store) {
  Side side{{}, store.array<int32_t>(positions)};
  for (int32_t i = 0; i < positions; ++i) {
    const int32_t first = i * stride - pad;
    std::pair<int32_t, int32_t> clip(0, 0);
    if (distinct) {
      clip.first = std::clamp(-first, 0, kernel);
      clip.second = std::clamp(first + kernel - size, 0, kernel - clip.first);
    }
    // Along a side the first count only falls and the second only rises, so equal cases are neighbours.
    if (side.clips.empty() || side.clips.back() != clip) side.clips.push_back(clip);
    side.class_of[i] = static_cast<int32_t>(side.clips.size()) - 1;
  }
  return side;
}

// Portable builds have no popcount instruction to compile to, and the library's function is slow: loading a plan would show it.
int32_t ones_in(uint64_t word) {
  word -= word >> 1 & 0x5555555555555555;
  word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
  word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return static_cast<int32_t>(word * 0x0101010101010101 >> 56);
}

// Ones among the weights of one channel in every rectangle of taps that begins at the first: [kernel_height + 1][kernel_width + 1].
std::vector<int32_t> ones_up_to(const Shape& s, const uint64_t* channel) {
  const int32_t words = s.in_words(), pitch = s.kernel_width + 1;
  std::vector<int32_t> sums(static_cast<size_t>(s.kernel_height + 1) * pitch, 0);
  for (int32_t y = 0; y < s.kernel_height; ++y) {
    int32_t row = 0;
    for (int32_t x = 0; x < s.kernel_width; ++x) {
      for (int32_t word = 0; word < words; ++word) row += ones_in(*channel++);
      sums[(y + 1) * pitch + x + 1] = sums[y * pitch + x + 1] + row;
    }
  }
  return sums;
}

// base of each class and channel: the dot product where nothing mismatches. Taps outside the map read as 0 bits there but are worth
// nothing, so each of their ones in the weights, which counts as a mismatch, gives its 2 back.
struct Bases {
  int32_t classes;
  std::vector<int32_t> values;  // [classes][padded_channels]
};

// `weights` is null where no tap is worth nothing.
Bases border_bases(const Shape& s, const Side& rows, const Side& columns, const void* weights) {
  const int32_t padded = s.padded_channels(), pitch = s.kernel_width + 1;
  const auto row_classes = static_cast<int64_t>(rows.clips.size()), column_classes = static_cast<int64_t>(columns.clips.size());
  if (row_classes * column_classes * padded > kMaxClassConstants) {
    fail(Code::malformed, "a convolution has %lld border classes for %d channels, more than this engine takes",
         static_cast<long long>(row_classes * column_classes), s.out_channels);
  }
  Bases bases{static_cast<int32_t>(row_classes * column_classes), {}};
  bases.values.assign(static_cast<size_t>(bases.classes) * padded, 0);
  const size_t channel_words = static_cast<size_t>(s.taps()) * s.in_words();
  for (int32_t m = 0; m < s.out_channels; ++m) {
    std::vector<int32_t> ones;
    if (weights != nullptr) ones = ones_up_to(s, static_cast<const uint64_t*>(weights) + m * channel_words);
    int32_t* base = bases.values.data() + m;
    for (const auto& [top, bottom] : rows.clips) {
      for (const auto& [left, right] : columns.clips) {
        const int32_t y_end = s.kernel_height - bottom, x_end = s.kernel_width - right;
        *base = (y_end - top) * (x_end - left) * s.in_channels;
        if (weights != nullptr) {
          const int32_t all = ones.back();
          const int32_t inside = ones[y_end * pitch + x_end] - ones[top * pitch + x_end] - ones[y_end * pitch + left] + ones[top * pitch + left];
          *base += 2 * (all - inside);
        }
        base += padded;
      }
    }
  }
  return bases;
}

// acc <= limit where base - 2 * acc >= threshold.
int32_t limit_of(int32_t base, int32_t threshold, int32_t fan_in) {
  const int64_t difference = int64_t{base} - threshold;
  const int64_t half = difference >= 0 ? difference / 2 : -((1 - difference) / 2);
  return static_cast<int32_t>(std::clamp<int64_t>(half, -1, fan_in));
}

void binary_constants(const Plan& plan, const PlanOp& op, const Shape& s, const Bases& bases, Epilogue& epilogue, Store& store) {
  const int32_t padded = s.padded_channels();
  int32_t* constants = store.array<int32_t>(bases.values.size());
  const int32_t* threshold = op.form == Form::bits ? expand(plan, op.threshold, s.out_channels, store) : nullptr;
  const int32_t* bias = op.form == Form::fixed ? expand(plan, op.bias, s.out_channels, store) : nullptr;
  int32_t* slope = op.form == Form::fixed ? expand(plan, op.slope, s.out_channels, store) : nullptr;
  for (size_t i = 0; i < bases.values.size(); ++i) {
    const auto m = static_cast<int32_t>(i % padded);
    if (m >= s.out_channels) continue;
    if (op.form == Form::sums) constants[i] = bases.values[i];
    if (op.form == Form::bits) constants[i] = limit_of(bases.values[i], threshold[m], s.taps() * s.in_channels);
    if (op.form == Form::fixed) constants[i] = bias[m] + slope[m] * bases.values[i];
  }
  for (int32_t m = 0; slope != nullptr && m < s.out_channels; ++m) slope[m] *= -2;
  (op.form == Form::sums ? epilogue.base : op.form == Form::bits ? epilogue.limit : epilogue.bias) = constants;
  epilogue.slope = slope;
}

void integer_constants(const Plan& plan, const PlanOp& op, const Shape& s, Epilogue& epilogue, Store& store) {
  if (op.form == Form::bits) epilogue.limit = expand(plan, op.threshold, s.out_channels, store);
  if (op.form == Form::fixed) {
    epilogue.bias = expand(plan, op.bias, s.out_channels, store);
    epilogue.slope = expand(plan, op.slope, s.out_channels, store);
  }
}

}  // namespace

bool borders_need_weights(const PlanOp& op) {
  return op.kind == OpKind::binary_conv && op.pad_kind == 1 && (op.pad_top | op.pad_left | op.pad_bottom | op.pad_right) != 0;
}

int32_t* expand(const Plan& plan, int32_t blob, int32_t channels, Store& store) {
  auto* numbers = store.array<int32_t>((static_cast<size_t>(channels) + 63) / 64 * 64);
  for (int32_t m = 0; m < channels; ++m) numbers[m] = plan.value(blob, m);
  return numbers;
}

uint64_t* invert_words(const Plan& plan, const PlanOp& op, int32_t channels, Store& store) {
  const int32_t words = (channels + 63) / 64;
  auto* invert = store.array<uint64_t>(words);
  if (op.invert == kNone) return invert;
  std::memcpy(invert, plan.data(op.invert), words * sizeof(uint64_t));
  if (channels % 64 != 0) invert[words - 1] &= (uint64_t{1} << (channels % 64)) - 1;
  return invert;
}

Fires make_fires(const Plan& plan, const PlanOp& op, int32_t channels, Number number, Store& store) {
  const int32_t words = (channels + 63) / 64;
  const Range range = number_range(number);
  void* const typed = store.take(static_cast<size_t>(words) * 64 * number_bytes(number));
  auto* reachable = store.array<uint64_t>(words);
  for (int32_t m = 0; m < channels; ++m) {
    const int64_t threshold = plan.value(op.threshold, m);
    const auto clamped = static_cast<int32_t>(std::clamp(threshold, range.low, range.high));
    if (number == Number::i32) {
      static_cast<int32_t*>(typed)[m] = clamped;
    } else {
      store_fixed(typed, number, m, clamped);
    }
    if (threshold <= range.high) reachable[m / 64] |= uint64_t{1} << (m % 64);
  }
  return {typed, reachable, invert_words(plan, op, channels, store)};
}

Epilogue make_epilogue(const Plan& plan, const PlanOp& op, const Shape& s, const void* rows, Store& store) {
  Epilogue epilogue{};
  epilogue.form = op.form;
  const bool distinct = borders_need_weights(op);
  const Side row_side = clip_side(s.in_height, s.kernel_height, s.stride_height, s.pad_top, s.out_height, distinct, store);
  const Side column_side = clip_side(s.in_width, s.kernel_width, s.stride_width, s.pad_left, s.out_width, distinct, store);
  for (int32_t y = 0; y < s.out_height; ++y) row_side.class_of[y] *= static_cast<int32_t>(column_side.clips.size());
  epilogue.row_class = row_side.class_of;
  epilogue.column_class = column_side.class_of;
  if (op.kind == OpKind::binary_conv) {
    binary_constants(plan, op, s, border_bases(s, row_side, column_side, distinct ? rows : nullptr), epilogue, store);
  } else {
    integer_constants(plan, op, s, epilogue, store);
  }
  const bool bits = op.form == Form::bits || op.out[1] != kNone;
  epilogue.invert = bits ? invert_words(plan, op, s.out_channels, store) : store.array<uint64_t>(s.out_words());  // never null
  if (op.form == Form::fixed) {
    epilogue.shift = expand(plan, op.shift, s.out_channels, store);
    epilogue.fire = bits ? expand(plan, op.threshold, s.out_channels, store) : store.array<int32_t>(s.padded_channels());
    epilogue.q_min = op.q_min, epilogue.q_max = op.q_max, epilogue.r_min = op.r_min, epilogue.r_max = op.r_max;
    const int32_t stored = op.out[0] != kNone ? op.out[0] : op.in[1];
    epilogue.fixed = stored != kNone ? plan.tensor(stored).number : Number::i16;
  }
  return epilogue;
}

}  // namespace flipflow
