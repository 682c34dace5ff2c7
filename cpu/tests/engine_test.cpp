// Tests of loader and engine on hand-made plans in memory. Expected values are calculated by hand or by the loops below, which share
// no code with the engine. Prints what fails; exit status 1 then.
// usage: engine_test [ISA...], by default all that this processor supports.
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "crc32.h"
#include "dispatch.h"
#include "engine.h"
#include "plan_builder.h"
#include "status.h"

using namespace flipflow;

namespace {

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

// The message with which a plan is refused; "" where it is accepted.
std::string refusal(const std::vector<uint8_t>& bytes) {
  try {
    Plan::from_memory(bytes.data(), bytes.size());
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

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

// --- checksums ---

void test_crc() {
  expect(crc32("123456789", 9) == 0xcbf43926, "CRC-32 of the digits, a published value");
  const std::string text = "flip and flow, in any number of steps";
  expect(crc32(text.data() + 5, text.size() - 5, crc32(text.data(), 5)) == crc32(text.data(), text.size()), "CRC-32 in two steps");
}

// --- a network by hand: two pixels of two channels, thresholds, a 1x2 binary convolution ---

PlanBuilder tiny() {
  PlanBuilder b;
  const int32_t input = b.tensor(Number::i8, 1, 2, 2, -10, 10);
  const int32_t bits = b.tensor(Number::bits, 1, 2, 2, 0, 1);
  const int32_t sums = b.tensor(Number::i32, 1, 1, 3, -4, 4);
  PlanOp threshold = b.op(OpKind::threshold_bits, "sign", input, bits);
  threshold.threshold = b.numbers<int8_t>(Element::i8, {0, 3});
  threshold.invert = b.numbers<uint64_t>(Element::u64, {2});
  b.add(threshold);
  PlanOp conv = b.op(OpKind::binary_conv, "dot", bits, sums);
  conv.kernel_height = 1, conv.kernel_width = 2;
  // Channels of output: all +1; the first pixel +1 and the second -1; alternating.
  conv.weights = b.numbers<uint64_t>(Element::bytes, {3, 3, 3, 0, 1, 1});
  b.add(conv);
  b.finish(input, sums, 3);
  return b;
}

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
  s.in_height = draw(5, 60), s.in_width = draw(5, 24), s.in_channels = draw(1, 5), s.out_channels = draw(1, 70);
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

// --- malformed plans ---

struct Damage {
  const char* wanted;  // part of the message
  std::function<void(PlanBuilder&)> change;
};

void test_malformed() {
  const Damage damages[] = {
      {"version 2", [](PlanBuilder& b) { b.header.version = 2; }},
      {"FLIPPLAN", [](PlanBuilder& b) { b.header.magic[0] = 'f'; }},
      {"logit_scale", [](PlanBuilder& b) { b.header.logit_scale = -1; }},
      {"input 7", [](PlanBuilder& b) { b.header.input = 7; }},
      {"classes", [](PlanBuilder& b) { b.header.classes = 4; }},
      {"the arena of", [](PlanBuilder& b) { b.header.arena_bytes = uint64_t{1} << 40; }},
      {"tensor 1", [](PlanBuilder& b) { b.tensors[1].offset = 32; }},
      {"tensor 1", [](PlanBuilder& b) { b.tensors[1].offset = ~uint64_t{63}; }},
      {"tensor 1", [](PlanBuilder& b) { b.tensors[1].height = b.tensors[1].width = b.tensors[1].channels = 65536; }},
      {"unknown number type 9", [](PlanBuilder& b) { b.tensors[1].number = static_cast<Number>(9); }},
      {"i8 does not hold", [](PlanBuilder& b) { b.tensors[0].maximum = 128; }},
      {"still needed", [](PlanBuilder& b) { b.tensors[2].offset = b.tensors[1].offset; }},
      {"nothing has written", [](PlanBuilder& b) { b.ops[0].in[0] = 1; }},
      {"written before", [](PlanBuilder& b) { b.ops[0].out[0] = 0; }},
      {"names tensor 3", [](PlanBuilder& b) { b.ops[1].in[0] = 3; }},
      {"names tensor -2", [](PlanBuilder& b) { b.ops[1].out[0] = -2; }},
      {"names blob 77", [](PlanBuilder& b) { b.ops[1].weights = 77; }},
      {"unknown kind 12", [](PlanBuilder& b) { b.ops[0].kind = static_cast<OpKind>(12); }},
      {"its form", [](PlanBuilder& b) { b.ops[1].form = static_cast<Form>(3); }},
      {"out of range", [](PlanBuilder& b) { b.ops[1].stride_width = 0; }},
      {"out of range", [](PlanBuilder& b) { b.ops[1].pad_left = -1; }},
      {"out of range", [](PlanBuilder& b) { b.ops[1].kernel_height = b.ops[1].kernel_width = 65536; }},
      {"does not fit a map", [](PlanBuilder& b) { b.ops[1].kernel_width = 3; }},
      {"kind of padding", [](PlanBuilder& b) { b.ops[1].pad_left = 1; }},
      {"gives a map of", [](PlanBuilder& b) { b.ops[1].kernel_width = 1; }},
      {"weights have 48 bytes", [](PlanBuilder& b) { b.tensors[2].channels = b.header.classes = 4; }},
      {"layout 9", [](PlanBuilder& b) { b.ops[1].layout = static_cast<Layout>(9); }},
      {"layout dot4x16", [](PlanBuilder& b) { b.ops[1].layout = Layout::dot4x16; }},
      {"beyond the last channel", [](PlanBuilder& b) { b.blobs[b.ops[1].weights].second[4] = 1; }},
      {"no weights", [](PlanBuilder& b) { b.ops[1].weights = kNone; }},
      {"no threshold", [](PlanBuilder& b) { b.ops[0].threshold = kNone; }},
      {"neither one number", [](PlanBuilder& b) { b.ops[0].threshold = b.numbers<int8_t>(Element::i8, {1, 2, 3}); }},
      {"invert is not", [](PlanBuilder& b) { b.ops[0].invert = b.numbers<uint64_t>(Element::u64, {1, 2}); }},
      {"not a blob of integers", [](PlanBuilder& b) { b.ops[0].threshold = b.ops[0].invert; }},
  };
  for (const Damage& damage : damages) {
    PlanBuilder b = tiny();
    damage.change(b);
    const std::string message = refusal(b.bytes());
    expect(message.find(damage.wanted) != std::string::npos, std::string("expected '") + damage.wanted + "', got '" + message + "'");
  }
}

void test_damaged_bytes() {
  const std::vector<uint8_t> sound = tiny().bytes();
  expect(refusal(sound).empty(), "the sound plan is accepted: " + refusal(sound));
  for (size_t size = 0; size < sound.size(); ++size) {
    expect(!refusal({sound.begin(), sound.begin() + size}).empty(), "truncated to " + std::to_string(size));
  }
  for (size_t i = 0; i < sound.size(); ++i) {
    std::vector<uint8_t> bytes = sound;
    bytes[i] ^= 0x10;
    expect(!refusal(bytes).empty(), "a flipped bit in byte " + std::to_string(i));
  }
}

// Fixed-point arithmetic at the edge of 32 bits: |slope| * 2K + |bias| may reach 2^31 - 1, and no more.
void test_overflow() {
  for (const int32_t excess : {0, 1}) {
    PlanBuilder b = tiny();
    b.tensors[2].number = Number::i16;
    b.tensors.push_back(PlanTensor{Number::i32, 1, 1, 3, -4, 4, 0});
    PlanOp& conv = b.ops[1];
    conv.form = Form::fixed, conv.q_min = -4, conv.q_max = 4;
    conv.slope = b.numbers<int32_t>(Element::i32, {-1000000});
    conv.bias = b.numbers<int32_t>(Element::i32, {INT32_MAX - 256 * 1000000 + excess});  // fan-in in whole words: 128
    conv.shift = b.numbers<int8_t>(Element::i8, {31});
    b.add(b.op(OpKind::sum_pool, "widen", 2, 3));
    b.finish(0, 3, 3);
    const std::string message = refusal(b.bytes());
    expect(excess == 0 ? message.empty() : message.find("overflow") != std::string::npos, "overflow by " + std::to_string(excess) + ": " + message);
  }
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
  test_crc();
  test_tiny();
  test_input_range();
  std::mt19937 random(7);
  for (int i = 0; i < 150; ++i) test_random_binary(random);
  for (int i = 0; i < 40; ++i) test_random_stem(random);
  test_malformed();
  test_damaged_bytes();
  test_overflow();
  test_names();
  std::printf(failures == 0 ? "engine_test: all passed\n" : "engine_test: %d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
