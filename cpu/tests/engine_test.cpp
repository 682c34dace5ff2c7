// Tests of the engine on hand-made plans in memory. Expected values are calculated by hand or by the loops below, which share
// no code with the engine. Prints what fails; exit status 1 then.
// usage: engine_test [ISA...], by default all that this processor supports.
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"
#include "engine.h"
#include "engine_test_support.h"
#include "ops.h"
#include "status.h"

using namespace flipflow;
using namespace flipflow::test;

namespace {

std::vector<std::string> chosen;  // instruction sets named on the command line

std::vector<std::string> isas() {
  if (!chosen.empty()) return chosen;
  std::vector<std::string> names;
  for (const Kernels* kernels : compiled_kernels()) {
    if (kernels->supported()) names.emplace_back(kernels->isa);
  }
  return names;
}

std::vector<int32_t> logits_of(const std::vector<uint8_t>& bytes, const void* images, size_t count, const std::string& isa, int threads) {
  const auto plan = Plan::from_memory(bytes.data(), bytes.size());
  Engine engine(plan, isa, threads);
  std::vector<int32_t> logits(count * plan->header().classes);
  engine.run(images, count, logits.data());
  return logits;
}

// --- the network by hand ---

void test_tiny() {
  // Bits: first channel v >= 0; second not (v >= 3). Pixel 0 (5, 2): +1 +1. Pixel 1 (-1, 3): -1 -1.
  const int8_t image[4] = {5, 2, -1, 3};
  const std::vector<int32_t> wanted = {0, 4, 0};
  for (const std::string& isa : isas()) {
    for (const int threads : {1, 2, 3}) {
      expect(logits_of(tiny().bytes(), image, 1, isa, threads) == wanted, "tiny network, " + isa + ", " + std::to_string(threads) + " threads");
    }
  }
}

void test_input_range() {
  const std::vector<uint8_t> bytes = tiny().bytes();
  const auto plan = Plan::from_memory(bytes.data(), bytes.size());
  Engine engine(plan, "scalar", 1);
  const int8_t images[8] = {5, 2, -1, 3, 0, 11, 0, 0};
  int32_t logits[6] = {};
  std::string message;
  try {
    engine.run(images, 2, logits);
  } catch (const Error& error) {
    message = error.what();
  }
  expect(message == "value 1 of image 1 is 11; the network's input goes from -10 to 10", "a pixel out of range: " + message);
}

// --- random convolutions against plain loops ---

struct Case {
  Shape s;
  int32_t pad_bottom, pad_right;
  uint32_t pad_kind;
  Form form;
  std::vector<int8_t> input, weights;  // -1 and +1, or numbers
};

int32_t dot(const Case& c, int32_t m, int32_t y, int32_t x) {
  const Shape& s = c.s;
  int32_t sum = 0;
  for (int32_t ky = 0; ky < s.kernel_height; ++ky) {
    for (int32_t kx = 0; kx < s.kernel_width; ++kx) {
      const int32_t v = y * s.stride_height + ky - s.pad_top, u = x * s.stride_width + kx - s.pad_left;
      const bool inside = v >= 0 && v < s.in_height && u >= 0 && u < s.in_width;
      for (int32_t k = 0; k < s.in_channels; ++k) {
        const int32_t border = c.pad_kind == 2 ? -1 : c.pad_kind == 3 ? 1 : 0;
        const int32_t a = inside ? c.input[(static_cast<size_t>(v) * s.in_width + u) * s.in_channels + k] : border;
        sum += a * c.weights[((static_cast<size_t>(m) * s.kernel_height + ky) * s.kernel_width + kx) * s.in_channels + k];
      }
    }
  }
  return sum;
}

std::vector<uint64_t> packed_bits(const std::vector<int8_t>& signs, int32_t channels) {
  const int32_t words = (channels + 63) / 64;
  std::vector<uint64_t> bits(signs.size() / channels * words, 0);
  for (size_t i = 0; i < signs.size(); ++i) {
    const size_t c = i % channels;
    if (signs[i] > 0) bits[i / channels * words + c / 64] |= uint64_t{1} << (c % 64);
  }
  return bits;
}

// A plan of one binary convolution: input i8 -> bits -> convolution -> (bits or fixed, made visible by a sum with a 1x1 kernel) -> i32.
void test_random_binary(std::mt19937& random) {
  const auto draw = [&](int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(random); };
  Case c;
  Shape& s = c.s;
  s = {};
  s.in_height = draw(1, 9), s.in_width = draw(1, 9), s.in_channels = draw(1, 140), s.out_channels = draw(1, 140);
  s.kernel_height = draw(1, 4), s.kernel_width = draw(1, 4), s.stride_height = draw(1, 3), s.stride_width = draw(1, 3);
  s.pad_top = draw(0, s.kernel_height - 1), s.pad_left = draw(0, s.kernel_width - 1);
  c.pad_bottom = draw(0, s.kernel_height - 1), c.pad_right = draw(0, s.kernel_width - 1);
  c.pad_kind = draw(1, 3);
  const bool fixed = draw(0, 1) == 1;
  if (s.in_height + s.pad_top + c.pad_bottom < s.kernel_height || s.in_width + s.pad_left + c.pad_right < s.kernel_width) return;
  s.out_height = (s.in_height + s.pad_top + c.pad_bottom - s.kernel_height) / s.stride_height + 1;
  s.out_width = (s.in_width + s.pad_left + c.pad_right - s.kernel_width) / s.stride_width + 1;
  c.input.resize(static_cast<size_t>(s.in_height) * s.in_width * s.in_channels);
  c.weights.resize(static_cast<size_t>(s.out_channels) * s.taps() * s.in_channels);
  for (int8_t& v : c.input) v = static_cast<int8_t>(2 * draw(0, 1) - 1);
  for (int8_t& v : c.weights) v = static_cast<int8_t>(2 * draw(0, 1) - 1);
  std::vector<int32_t> slope(s.out_channels), bias(s.out_channels);
  for (int32_t m = 0; m < s.out_channels; ++m) slope[m] = draw(-40, 40), bias[m] = draw(-9000, 9000);

  PlanBuilder b;
  const int32_t input = b.tensor(Number::i8, s.in_height, s.in_width, s.in_channels, -1, 1);
  const int32_t bits = b.tensor(Number::bits, s.in_height, s.in_width, s.in_channels, 0, 1);
  const int32_t q = fixed ? b.tensor(Number::i16, s.out_height, s.out_width, s.out_channels, -300, 300) : kNone;
  const int32_t sums = b.tensor(Number::i32, s.out_height, s.out_width, s.out_channels, -100000, 100000);
  PlanOp sign = b.op(OpKind::threshold_bits, "sign", input, bits);
  sign.threshold = b.numbers<int8_t>(Element::i8, {0});
  b.add(sign);
  PlanOp conv = b.op(OpKind::binary_conv, "conv", bits, fixed ? q : sums);
  conv.kernel_height = s.kernel_height, conv.kernel_width = s.kernel_width;
  conv.stride_height = s.stride_height, conv.stride_width = s.stride_width;
  conv.pad_top = s.pad_top, conv.pad_left = s.pad_left, conv.pad_bottom = c.pad_bottom, conv.pad_right = c.pad_right;
  conv.pad_kind = c.pad_kind;
  conv.weights = b.numbers<uint64_t>(Element::bytes, packed_bits(c.weights, s.in_channels));
  if (fixed) {
    conv.form = Form::fixed;
    conv.slope = b.numbers<int32_t>(Element::i32, slope), conv.bias = b.numbers<int32_t>(Element::i32, bias);
    conv.shift = b.numbers<int8_t>(Element::i8, {4}), conv.q_min = -300, conv.q_max = 300;
  }
  b.add(conv);
  if (fixed) b.add(b.op(OpKind::sum_pool, "widen", q, sums));
  b.finish(input, sums, s.out_height * s.out_width * s.out_channels);

  std::vector<int32_t> wanted;
  for (int32_t y = 0; y < s.out_height; ++y) {
    for (int32_t x = 0; x < s.out_width; ++x) {
      for (int32_t m = 0; m < s.out_channels; ++m) {
        const int32_t sum = dot(c, m, y, x);
        const auto line = static_cast<int32_t>(std::floor((bias[m] + slope[m] * static_cast<double>(sum)) / 16));
        wanted.push_back(fixed ? std::min(300, std::max(-300, line)) : sum);
      }
    }
  }
  for (const std::string& isa : isas()) {
    for (const int threads : {1, 2}) {
      expect(logits_of(b.bytes(), c.input.data(), 1, isa, threads) == wanted, "random binary convolution, " + isa);
    }
  }
}

// An 8-bit stem with fused max-pool, and the bits of the pooled numbers, against loops.
void test_random_stem(std::mt19937& random) {
  const auto draw = [&](int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(random); };
  Case c;
  Shape& s = c.s;
  s = {};
  s.in_height = draw(5, 60), s.in_width = draw(5, 24), s.in_channels = draw(1, 5);
  s.out_channels = draw(0, 2) == 0 ? 64 : draw(1, 70);  // 64: pools have a loop of their own
  s.kernel_height = draw(1, 5), s.kernel_width = draw(1, 5), s.stride_height = draw(1, 2), s.stride_width = draw(1, 2);
  s.pad_top = draw(0, s.kernel_height - 1), s.pad_left = draw(0, s.kernel_width - 1);
  c.pad_kind = 1, c.pad_bottom = draw(0, s.kernel_height - 1), c.pad_right = draw(0, s.kernel_width - 1);
  s.out_height = (s.in_height + s.pad_top + c.pad_bottom - s.kernel_height) / s.stride_height + 1;
  s.out_width = (s.in_width + s.pad_left + c.pad_right - s.kernel_width) / s.stride_width + 1;
  const int32_t kh = draw(1, std::min(4, s.out_height)), kw = draw(1, std::min(4, s.out_width)), sh = draw(1, 3), sw = draw(1, 3);
  const int32_t pt = draw(0, kh - 1), pl = draw(0, kw - 1), pb = draw(0, kh - 1), pr = draw(0, kw - 1);
  const int32_t height = (s.out_height + pt + pb - kh) / sh + 1, width = (s.out_width + pl + pr - kw) / sw + 1;
  c.input.resize(static_cast<size_t>(s.in_height) * s.in_width * s.in_channels);
  c.weights.resize(static_cast<size_t>(s.out_channels) * s.taps() * s.in_channels);
  for (int8_t& v : c.input) v = static_cast<int8_t>(draw(-128, 127));
  for (int8_t& v : c.weights) v = static_cast<int8_t>(draw(-128, 127));

  PlanBuilder b;
  const int32_t input = b.tensor(Number::i8, s.in_height, s.in_width, s.in_channels, -128, 127);
  const int32_t q = b.tensor(Number::i8, height, width, s.out_channels, -100, 100);
  const int32_t fired = b.tensor(Number::bits, height, width, s.out_channels, 0, 1);
  const int32_t counts = b.tensor(Number::i32, height, width, s.out_channels, -100000, 100000);
  const int32_t total = b.tensor(Number::i32, height, width, s.out_channels, -100000, 100000);
  PlanOp conv = b.op(OpKind::integer_conv, "stem", input, q);
  conv.out[1] = fired;
  conv.form = Form::fixed, conv.weight_number = Number::i8;
  conv.kernel_height = s.kernel_height, conv.kernel_width = s.kernel_width;
  conv.stride_height = s.stride_height, conv.stride_width = s.stride_width;
  conv.pad_top = s.pad_top, conv.pad_left = s.pad_left, conv.pad_bottom = c.pad_bottom, conv.pad_right = c.pad_right;
  conv.pool_kernel_height = kh, conv.pool_kernel_width = kw, conv.pool_stride_height = sh, conv.pool_stride_width = sw;
  conv.pool_pad_top = pt, conv.pool_pad_left = pl, conv.pool_pad_bottom = pb, conv.pool_pad_right = pr;
  conv.weights = b.numbers<int8_t>(Element::bytes, c.weights);
  conv.slope = b.numbers<int8_t>(Element::i8, {3}), conv.bias = b.numbers<int16_t>(Element::i16, {-1000});
  conv.shift = b.numbers<int8_t>(Element::i8, {10}), conv.q_min = -100, conv.q_max = 100;
  conv.threshold = b.numbers<int8_t>(Element::i8, {7});
  conv.invert = b.numbers<uint64_t>(Element::u64, std::vector<uint64_t>(s.out_words(), 0x5555555555555555));
  b.add(conv);
  // total = pooled + 1000 * bit: a 1x1 binary convolution of the bits with one +1 per channel would do; a line of the sums does too.
  PlanOp bits_conv = b.op(OpKind::binary_conv, "pick", fired, counts);
  std::vector<int8_t> one_hot(static_cast<size_t>(s.out_channels) * s.out_channels, -1);
  for (int32_t m = 0; m < s.out_channels; ++m) one_hot[static_cast<size_t>(m) * s.out_channels + m] = 1;
  bits_conv.weights = b.numbers<uint64_t>(Element::bytes, packed_bits(one_hot, s.out_channels));
  b.add(bits_conv);
  PlanOp add = b.op(OpKind::add, "sum", counts, total);
  add.in[1] = q, add.r_min = -100000, add.r_max = 100000;
  b.add(add);
  b.finish(input, total, height * width * s.out_channels);

  std::vector<int32_t> wanted;
  for (int32_t y = 0; y < height; ++y) {
    for (int32_t x = 0; x < width; ++x) {
      std::vector<int32_t> best(s.out_channels, -1000);
      for (int32_t v = std::max(0, y * sh - pt); v < std::min(s.out_height, y * sh - pt + kh); ++v) {
        for (int32_t u = std::max(0, x * sw - pl); u < std::min(s.out_width, x * sw - pl + kw); ++u) {
          for (int32_t m = 0; m < s.out_channels; ++m) {
            const auto line = static_cast<int32_t>(std::floor((-1000 + 3.0 * dot(c, m, v, u)) / 1024));
            best[m] = std::max(best[m], std::min(100, std::max(-100, line)));
          }
        }
      }
      int32_t minus = 0;
      const auto bit = [&](int32_t m) { return (best[m] >= 7) != (m % 2 == 0) ? 1 : -1; };
      for (int32_t m = 0; m < s.out_channels; ++m) minus += bit(m);
      for (int32_t m = 0; m < s.out_channels; ++m) wanted.push_back(best[m] + 2 * bit(m) - minus);
    }
  }
  for (const std::string& isa : isas()) {
    for (const int threads : {1, 3}) {
      expect(logits_of(b.bytes(), c.input.data(), 1, isa, threads) == wanted, "random stem, " + isa + ", " + std::to_string(threads));
    }
  }
}

// --- operators alone ---

template <typename T>
void test_threshold_bits(std::mt19937& random, Number number, int32_t channels) {
  std::uniform_int_distribution<int32_t> draw(std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  const int32_t height = 3, width = 2, words = (channels + 63) / 64;
  std::vector<T> values(size_t{6} * channels), threshold(size_t{64} * words);
  std::vector<uint64_t> reachable(words), invert(words), out(size_t{6} * words), wanted(out.size(), 0);
  for (T& v : threshold) v = static_cast<T>(draw(random));
  for (size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? threshold[i % channels] : static_cast<T>(draw(random));
  for (int32_t c = 0; c < channels; ++c) {
    reachable[c / 64] |= uint64_t{draw(random) % 8 != 0} << (c % 64);
    invert[c / 64] |= uint64_t{draw(random) % 2 != 0} << (c % 64);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i % channels;
    const bool fires = values[i] >= threshold[c] && (reachable[c / 64] >> (c % 64) & 1) != 0;
    if (fires != ((invert[c / 64] >> (c % 64) & 1) != 0)) wanted[i / channels * words + c / 64] |= uint64_t{1} << (c % 64);
  }
  const View view{values.data(), number, height, width, channels};
  const Fires fires{threshold.data(), reachable.data(), invert.data()};
  threshold_bits(view, fires, out.data(), 1, height);
  threshold_bits(view, fires, out.data(), 0, 1);
  expect(out == wanted, "threshold_bits of " + std::string(number_name(number)) + ", " + std::to_string(channels) + " channels");
}

void test_names() {
  const std::vector<uint8_t> bytes = tiny().bytes();
  const auto plan = Plan::from_memory(bytes.data(), bytes.size());
  const Engine engine(plan, "scalar", 1);
  expect(engine.describe().find("\"kernel\": \"binary/scalar\"") != std::string::npos, "describe names the kernel");
  std::string message;
  try {
    Engine other(plan, "mmx", 1);
  } catch (const Error& error) {
    message = error.what();
  }
  expect(message.find("'mmx'") != std::string::npos, "an unknown instruction set: " + message);
}

}  // namespace

int main(int argc, char** argv) {
  chosen.assign(argv + 1, argv + argc);
  test_tiny();
  test_input_range();
  std::mt19937 random(7);
  for (int i = 0; i < 150; ++i) test_random_binary(random);
  for (int i = 0; i < 40; ++i) test_random_stem(random);
  for (const int32_t channels : {1, 63, 64, 65, 128, 192}) {
    test_threshold_bits<int8_t>(random, Number::i8, channels);
    test_threshold_bits<uint8_t>(random, Number::u8, channels);
    test_threshold_bits<int16_t>(random, Number::i16, channels);
  }
  test_names();
  return report("engine_test");
}
