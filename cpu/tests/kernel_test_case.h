// Random convolutions and what they must give, for kernel_test.cpp: plain nested loops over numbers (+1 and -1, or
// integers), written from the definition of a convolution and sharing nothing with the kernels.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace flipflow::test {

class Random {  // splitmix64: the same numbers everywhere
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t word() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(word() % (static_cast<uint64_t>(high - low) + 1));
  }
  bool chance(int percent) { return between(0, 99) < percent; }

 private:
  uint64_t state_;
};

struct Range {
  int64_t low, high;
};

inline Range range_of(Number number) {
  switch (number) {
    case Number::bits: return {-1, 1};
    case Number::u8: return {0, 255};
    case Number::i8: return {-128, 127};
    default: return {-32768, 32767};
  }
}

// Constants are in terms of the dot product s; kernel_test.cpp turns them into what the kernel's counts need.
struct Case {
  Shape shape{};
  bool binary = true;
  bool ternary = false;                        // binary: the padding contributes 0, by way of the border classes
  std::vector<int32_t> activations, weights;   // [y][x][c] and [m][ky][kx][c]
  std::vector<int32_t> row_class, column_class, class_y, class_x;  // class_*: a pixel of each class (ternary)
  int32_t classes = 1;
  Form form = Form::sums;
  Number fixed = Number::i8;
  bool store_bits = false, store_fixed = false, residual = false, in_place = false;
  std::vector<int64_t> threshold, bias;        // [class][m]
  std::vector<int64_t> slope, shift, fire;     // [m]
  std::vector<bool> invert;                    // [m]
  int64_t q_min = 0, q_max = 0, r_min = 0, r_max = 0;
  std::vector<int32_t> before, sums, after;    // [y][x][m]: residual, s, r
  std::vector<bool> bits;                      // [y][x][m]

  int64_t fan_in() const { return int64_t{shape.taps()} * shape.in_channels; }
  int64_t outputs() const { return int64_t{shape.out_height} * shape.out_width * shape.out_channels; }
  int32_t class_of(int64_t y, int64_t x) const { return row_class[y] + column_class[x]; }
};

inline int32_t draw_channels(Random& random, int32_t most) {
  const int64_t near = random.between(1, std::max(1, most / 64)) * 64;
  switch (random.between(0, 4)) {
    case 0: return static_cast<int32_t>(random.between(1, std::min(most, 9)));
    case 1: return static_cast<int32_t>(std::min<int64_t>(most, near));
    case 2: return static_cast<int32_t>(std::min<int64_t>(most, near + random.between(-1, 1)));
    default: return static_cast<int32_t>(random.between(1, most));
  }
}

// One axis of a general convolution; false where no output is left.
inline bool draw_axis(Random& random, int32_t& in, int32_t& kernel, int32_t& stride, int32_t& pad, int32_t& out) {
  in = static_cast<int32_t>(random.chance(15) ? 1 : random.between(1, 19));
  kernel = static_cast<int32_t>(random.chance(40) ? 3 : random.between(1, 7));
  stride = static_cast<int32_t>(random.chance(50) ? 1 : random.between(1, 3));
  const int32_t most = random.chance(80) ? kernel / 2 : kernel;  // a window may even lie outside altogether
  pad = static_cast<int32_t>(random.between(0, most));
  const int32_t end = static_cast<int32_t>(random.between(0, most));
  out = (in + pad + end - kernel) / stride + 1;
  return in + pad + end >= kernel;
}

inline Shape draw_shape(Random& random, bool binary) {
  for (;;) {
    Shape s{};
    bool usable = true;
    s.in_channels = draw_channels(random, 257);
    s.out_channels = draw_channels(random, random.chance(90) ? 130 : 520);
    const int64_t kind = random.between(0, 9);
    if (kind == 0) {  // fully connected
      const int32_t large[] = {25088, 60000, 512, 1024, 4097, 777};
      s.in_channels = large[random.between(0, 5)];
      s.in_height = s.in_width = s.kernel_height = s.kernel_width = s.out_height = s.out_width = 1;
      s.stride_height = s.stride_width = 1;
    } else if (kind == 1) {  // the kernel is the whole map
      s.in_height = s.kernel_height = static_cast<int32_t>(random.between(1, 9));
      s.in_width = s.kernel_width = static_cast<int32_t>(random.between(1, 9));
      s.stride_height = s.stride_width = s.out_height = s.out_width = 1;
    } else {
      usable &= draw_axis(random, s.in_height, s.kernel_height, s.stride_height, s.pad_top, s.out_height);
      usable &= draw_axis(random, s.in_width, s.kernel_width, s.stride_width, s.pad_left, s.out_width);
      if (random.chance(20)) s.kernel_width = s.kernel_height;
      usable &= s.out_width >= 1 && (s.out_width - 1) * s.stride_width + s.kernel_width <= s.in_width + s.pad_left + 7;
    }
    const Number inputs[] = {Number::u8, Number::u8, Number::i8, Number::i8, Number::i16};
    s.border = binary && random.chance(50) ? Border::ones : Border::zeros;
    s.input = binary ? Number::bits : inputs[random.between(0, 4)];
    s.weights = binary ? Number::bits : random.chance(85) ? Number::i8 : Number::i16;
    const int64_t work = int64_t{s.out_height} * s.out_width * s.out_channels * s.taps() * s.in_channels;
    if (usable && work <= (random.chance(10) ? 8'000'000 : 1'500'000)) return s;
  }
}

// Random, or all at one end of the range, or at the ends by chance.
inline void draw_numbers(Random& random, Range range, bool binary, std::vector<int32_t>& numbers) {
  const int64_t kind = random.between(0, 5);
  for (auto& number : numbers) {
    const bool high = kind == 0 || (kind != 1 && random.chance(50));
    const bool end = binary || kind <= 2;
    number = static_cast<int32_t>(end ? (high ? range.high : range.low) : random.between(range.low, range.high));
  }
}

// Which kernel taps lie outside the map, as one mask of each place of an axis, numbered in order of appearance.
inline int32_t border_classes(int32_t in, int32_t kernel, int32_t stride, int32_t pad, std::vector<int32_t>& classes,
                              std::vector<int32_t>& example) {
  std::map<std::string, int32_t> seen;
  for (size_t place = 0; place < classes.size(); ++place) {
    std::string outside;
    for (int32_t k = 0; k < kernel; ++k) {
      const int64_t at = static_cast<int64_t>(place) * stride + k - pad;
      outside += at < 0 || at >= in ? 'x' : '.';
    }
    const auto found = seen.emplace(outside, static_cast<int32_t>(seen.size()));
    if (found.second) example.push_back(static_cast<int32_t>(place));
    classes[place] = found.first->second;
  }
  return static_cast<int32_t>(seen.size());
}

inline void draw_classes(Random& random, Case& c) {
  const Shape& s = c.shape;
  c.row_class.resize(s.out_height);
  c.column_class.resize(s.out_width);
  int32_t rows = static_cast<int32_t>(random.between(1, 3)), columns = static_cast<int32_t>(random.between(1, 3));
  if (c.ternary) {
    rows = border_classes(s.in_height, s.kernel_height, s.stride_height, s.pad_top, c.row_class, c.class_y);
    columns = border_classes(s.in_width, s.kernel_width, s.stride_width, s.pad_left, c.column_class, c.class_x);
  } else {  // any assignment will do
    for (auto& k : c.row_class) k = static_cast<int32_t>(random.between(0, rows - 1));
    for (auto& k : c.column_class) k = static_cast<int32_t>(random.between(0, columns - 1));
  }
  for (auto& k : c.row_class) k *= columns;
  c.classes = rows * columns;
}

// The dot products: what lies outside the map counts as 0 (integers, ternary borders), -1 or +1.
inline void compute_sums(Case& c) {
  const Shape& s = c.shape;
  const int32_t border = !c.binary || c.ternary ? 0 : s.border == Border::ones ? 1 : -1;
  c.sums.resize(c.outputs());
  size_t at = 0;
  for (int32_t y = 0; y < s.out_height; ++y)
    for (int32_t x = 0; x < s.out_width; ++x)
      for (int32_t m = 0; m < s.out_channels; ++m) {
        int64_t sum = 0;
        const int32_t* w = c.weights.data() + m * c.fan_in();
        for (int32_t ky = 0; ky < s.kernel_height; ++ky)
          for (int32_t kx = 0; kx < s.kernel_width; ++kx, w += s.in_channels) {
            const int32_t row = y * s.stride_height + ky - s.pad_top, column = x * s.stride_width + kx - s.pad_left;
            const bool inside = row >= 0 && row < s.in_height && column >= 0 && column < s.in_width;
            const size_t from = inside ? (int64_t{row} * s.in_width + column) * s.in_channels : 0;
            for (int32_t k = 0; k < s.in_channels; ++k) sum += (inside ? c.activations[from + k] : border) * int64_t{w[k]};
          }
        c.sums[at++] = static_cast<int32_t>(sum);
      }
}

// r of one element from its dot product: floor division is what an arithmetic shift does.
inline int64_t fixed_of(const Case& c, int64_t sum, int32_t klass, int32_t m, int64_t before) {
  const int64_t value = c.bias[int64_t{klass} * c.shape.out_channels + m] + c.slope[m] * sum;
  const int64_t unit = int64_t{1} << c.shift[m];
  const int64_t floor = value / unit - (value % unit < 0 ? 1 : 0);
  const int64_t q = std::min(std::max(floor, c.q_min), c.q_max);
  return c.residual ? std::min(std::max(before + q, c.r_min), c.r_max) : q;
}

inline void compute_outputs(Case& c) {
  const Shape& s = c.shape;
  c.after.resize(c.outputs());
  c.bits.resize(c.outputs());
  size_t at = 0;
  for (int32_t y = 0; y < s.out_height; ++y)
    for (int32_t x = 0; x < s.out_width; ++x)
      for (int32_t m = 0; m < s.out_channels; ++m, ++at) {
        const int32_t klass = c.class_of(y, x);
        bool fires = c.sums[at] >= c.threshold[int64_t{klass} * s.out_channels + m];
        if (c.form == Form::fixed) {
          const int64_t value = fixed_of(c, c.sums[at], klass, m, c.residual ? c.before[at] : 0);
          c.after[at] = static_cast<int32_t>(value);
          fires = value >= c.fire[m];
        }
        c.bits[at] = fires != c.invert[m];
      }
}

// Constants of the epilogue. `most` bounds |s|; products stay below 2^30 (binary kernels see twice the slope).
inline void draw_epilogue(Random& random, Case& c, int64_t most) {
  const Shape& s = c.shape;
  const Form forms[] = {Form::sums, Form::bits, Form::bits, Form::fixed, Form::fixed, Form::fixed};
  const Number numbers[] = {Number::i8, Number::u8, Number::i16};
  c.form = forms[random.between(0, 5)];
  c.fixed = numbers[random.between(0, 2)];
  const int64_t stores = random.between(1, 3);
  c.store_bits = c.form == Form::bits || (stores & 1) != 0;
  c.store_fixed = c.form == Form::fixed && (stores & 2) != 0;
  c.residual = c.form == Form::fixed && random.chance(50);
  c.in_place = c.residual && c.store_fixed && random.chance(50);
  const Range stored = range_of(c.fixed), shorts = range_of(Number::i16), q = c.residual ? shorts : stored;
  const auto limits = [&](Range within, int64_t& low, int64_t& high) {
    low = random.chance(50) ? within.low : random.between(within.low, within.high);
    high = random.chance(50) ? within.high : random.between(low, within.high);
  };
  limits(random.chance(50) ? stored : q, c.q_min, c.q_max);
  limits(stored, c.r_min, c.r_max);
  if (c.residual) {
    c.before.resize(c.outputs());
    draw_numbers(random, stored, false, c.before);
  }
  const int64_t steepest = (int64_t{1} << (c.binary ? 28 : 30)) / most, reach = int64_t{1} << 28;
  for (int32_t m = 0; m < s.out_channels; ++m) {
    const int64_t slope = std::max<int64_t>(1, random.between(0, steepest) >> random.between(0, 28));
    c.slope.push_back(random.chance(5) ? 0 : random.chance(70) ? slope : -slope);
    int64_t shift = 0;  // so that the results spread over about the range of q
    while (shift < 31 && (slope * most >> shift) > (c.q_max - c.q_min) * random.between(1, 16)) ++shift;
    c.shift.push_back(random.chance(90) ? shift : random.between(0, 31));
    c.fire.push_back(random.chance(90) ? random.between(stored.low, stored.high)
                                       : random.chance(50) ? stored.high + 1 : stored.low);
    c.invert.push_back(random.chance(40));
  }
  for (int32_t k = 0; k < c.classes; ++k)
    for (int32_t m = 0; m < s.out_channels; ++m) {  // half of the thresholds are ties with one of the sums
      const int64_t pixel = random.between(0, int64_t{s.out_height} * s.out_width - 1);
      const int64_t tie = c.sums[pixel * s.out_channels + m];
      c.threshold.push_back(random.chance(50) ? tie + random.between(0, 1) : random.between(-most - 1, most + 1));
      const int64_t room = (int64_t{1} << 31) - 1 - (c.binary ? 0 : std::abs(c.slope[m]) * most);
      const int64_t span = std::min({reach, room, (int64_t{1} << c.shift[m]) * 64 + most});
      c.bias.push_back(random.between(-span, span) >> random.between(0, 4));
    }
}

// Fails only where no numbers fit: sums must stay in int32.
inline Case draw_case(uint64_t seed) {
  Random random(seed);
  for (;;) {
    Case c;
    c.binary = random.chance(60);
    c.shape = draw_shape(random, c.binary);
    c.ternary = c.binary && c.shape.border == Border::zeros && random.chance(60);
    const Range input = range_of(c.shape.input), all = range_of(c.shape.weights);
    const int64_t largest = std::max(-input.low, input.high);
    const int64_t fits = ((int64_t{1} << 31) - 1) / (largest * c.fan_in());
    if (fits < 1) continue;
    Range weights = {std::max(all.low, -fits), std::min(all.high, fits)};
    if (!c.binary && random.chance(15)) weights = {-1, 1};
    c.activations.resize(int64_t{c.shape.in_height} * c.shape.in_width * c.shape.in_channels);
    c.weights.resize(c.shape.out_channels * c.fan_in());
    draw_numbers(random, input, c.binary, c.activations);
    draw_numbers(random, weights, c.binary, c.weights);
    draw_classes(random, c);
    compute_sums(c);
    draw_epilogue(random, c, largest * std::max(-weights.low, weights.high) * c.fan_in());
    compute_outputs(c);
    return c;
  }
}

}  // namespace flipflow::test
