// Runs one convolution a number of times, for instruction counts.
//
//   conv_driver INPUT SIZE CHANNELS OUT KERNEL STRIDE sums|bits|fixed8|fixed16 neon|neon_dot REPEATS
//
// A map of SIZE x SIZE x CHANNELS, of INPUT bits (a binary convolution), u8 or i8 (integers, int8 weights), to OUT channels by a
// KERNEL x KERNEL window with KERNEL / 2 of padding. Each repeat is the whole convolution: prepare, inner loops, epilogue. `fixed8`
// and `fixed16` give int8 or int16 over the full range; binary ones also add a residual and write bits. Prints a checksum of the last
// result. Exits with 2 for bad arguments.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"

namespace {

using flipflow::Form;
using flipflow::Number;

template <typename T>
class Aligned {
 public:
  explicit Aligned(size_t count)
      : count_(count), data_(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 127) / 64 * 64))) {
    std::memset(static_cast<void*>(data_), 0, count * sizeof(T));
  }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  ~Aligned() { std::free(data_); }
  T* data() { return data_; }
  size_t bytes() const { return count_ * sizeof(T); }
  uint64_t checksum() const {
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < bytes(); ++i) sum = (sum ^ reinterpret_cast<const unsigned char*>(data_)[i]) * 0x100000001b3;
    return sum;
  }

 private:
  size_t count_;
  T* data_;
};

void fill(Aligned<uint64_t>& words) {
  uint64_t state = 1;
  for (size_t i = 0; i < words.bytes() / sizeof(uint64_t); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    words.data()[i] = state ^ state >> 29;
  }
}

struct Options {
  Number input;
  int size, channels, out, kernel, stride;
  Form form;
  Number fixed;
  bool dot;
  int repeats;
};

flipflow::Shape shape_of(const Options& o) {
  flipflow::Shape s{};
  s.in_height = s.in_width = o.size;
  s.in_channels = o.channels;
  s.out_channels = o.out;
  s.kernel_height = s.kernel_width = o.kernel;
  s.stride_height = s.stride_width = o.stride;
  s.pad_top = s.pad_left = o.kernel / 2;
  s.out_height = s.out_width = (o.size + o.kernel / 2 * 2 - o.kernel) / o.stride + 1;
  s.input = o.input;
  s.weights = o.input == Number::bits ? Number::bits : Number::i8;
  return s;
}

int run(const Options& o) {
  const flipflow::Shape s = shape_of(o);
  const bool binary = o.input == Number::bits, fixed = o.form == Form::fixed;
  const flipflow::Kernels& kernels = o.dot ? flipflow::neon_dot_kernels : flipflow::neon_kernels;
  const flipflow::ConvKernel& kernel = binary ? kernels.binary : kernels.integer;
  const flipflow::LayoutCodec& codec = binary ? flipflow::quads_codec : flipflow::dot4x4_codec;
  if (!kernel.accepts(s)) return 2;
  const size_t in_pixels = static_cast<size_t>(o.size) * o.size, pixels = static_cast<size_t>(s.out_height) * s.out_width;
  const size_t elements = pixels * s.out_channels;
  const int fan_in = s.taps() * s.in_channels, padded = s.padded_channels();
  Aligned<uint64_t> input(binary ? in_pixels * s.in_words() : in_pixels * s.in_channels / 8 + 1);
  Aligned<uint64_t> rows(static_cast<size_t>(s.out_channels) * s.taps() * (binary ? s.in_words() : s.in_channels / 8 + 1));
  Aligned<char> packed(codec.bytes(s)), scratch(kernel.scratch_bytes(s));
  fill(input);
  fill(rows);
  if (!binary) {  // quantizers give -127 to 127
    for (size_t i = 0; i < rows.bytes() / sizeof(uint64_t); ++i) rows.data()[i] |= 0x0101010101010101;
  }
  codec.pack(s, rows.data(), packed.data());

  std::vector<int32_t> columns(s.out_width, 1), lines(s.out_height, 3);  // border classes as of a padding of 1
  columns.front() = lines.front() = 0;
  columns.back() = 2;
  lines.back() = 6;
  const std::vector<int32_t> limit(9 * padded, fan_in / 2), base(9 * padded, fan_in), ones(padded, 1), zeros(padded, 0);
  const std::vector<uint64_t> invert(s.out_words(), 0x5a5a);
  const int low = o.fixed == Number::i8 ? -128 : -32768;
  flipflow::Epilogue e{o.form, lines.data(), columns.data(), base.data(), limit.data(), base.data(), ones.data(), ones.data(),
                       zeros.data(), invert.data(), low, -low - 1, low, -low - 1, o.fixed};
  Aligned<int32_t> sums(o.form == Form::sums ? elements : 1);
  Aligned<int16_t> result(fixed ? elements : 1), residual(fixed ? elements : 1);
  Aligned<uint64_t> bits(pixels * s.out_words());
  const bool writes_bits = o.form == Form::bits || (binary && fixed);
  const flipflow::Outputs out{sums.data(), writes_bits ? bits.data() : nullptr, fixed && binary ? residual.data() : nullptr,
                              fixed ? result.data() : nullptr};
  for (int i = 0; i < o.repeats; ++i) {
    kernel.prepare(s, input.data(), scratch.data(), 0, kernel.padded_rows(s));
    kernel.run(s, packed.data(), scratch.data(), e, out, {0, s.out_height, 0, s.out_channels});
  }
  const uint64_t sum = sums.checksum() ^ bits.checksum() ^ result.checksum();
  std::printf("%s %016llx\n", kernel.name, static_cast<unsigned long long>(sum));
  return 0;
}

// The place of `word` among `words`, or -1.
int find(const char* word, const std::vector<const char*>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (std::strcmp(word, words[i]) == 0) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 10) {
    const int input = find(arguments[1], {"bits", "u8", "i8"}), form = find(arguments[7], {"sums", "bits", "fixed8", "fixed16"});
    const int isa = find(arguments[8], {"neon", "neon_dot"});
    int numbers[6];
    bool good = input >= 0 && form >= 0 && isa >= 0;
    for (int i = 0; i < 6; ++i) {
      numbers[i] = std::atoi(arguments[i < 5 ? i + 2 : 9]);
      good = good && numbers[i] >= (i < 5 ? 1 : 0);
    }
    if (good) {
      return run({static_cast<Number>(input), numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
                  static_cast<Form>(form < 2 ? form : 2), form == 2 ? Number::i8 : Number::i16, isa == 1, numbers[5]});
    }
  }
  std::fprintf(stderr, "usage: conv_driver bits|u8|i8 SIZE CHANNELS OUT KERNEL STRIDE sums|bits|fixed8|fixed16 neon|neon_dot REPEATS\n");
  return 2;
}
