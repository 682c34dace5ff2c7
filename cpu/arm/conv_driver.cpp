// Runs one binary 3x3 convolution (stride 1, zero padding of 1) a number of times, for instruction counts.
//
//   conv_driver SIZE CHANNELS sums|bits|fixed neon|neon_dot REPEATS
//
// Each repeat is the whole convolution of a SIZE x SIZE x CHANNELS map: prepare, inner loops, epilogue. `fixed` adds an int16
// residual, keeps the int16 sum and writes bits. Prints a checksum of the last result. Exits with 2 for bad arguments.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"

namespace {

using flipflow::Form;

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

flipflow::Shape shape_of(int size, int channels) {
  flipflow::Shape s{};
  s.in_height = s.in_width = s.out_height = s.out_width = size;
  s.in_channels = s.out_channels = channels;
  s.kernel_height = s.kernel_width = 3;
  s.stride_height = s.stride_width = 1;
  s.pad_top = s.pad_left = 1;
  return s;
}

int run(const flipflow::Kernels& kernels, const flipflow::Shape& s, Form form, int repeats) {
  const flipflow::ConvKernel& kernel = kernels.binary;
  const size_t pixels = static_cast<size_t>(s.out_height) * s.out_width, words = s.out_words();
  const int fan_in = s.taps() * s.in_channels, padded = s.padded_channels();
  Aligned<uint64_t> input(pixels * s.in_words()), rows(static_cast<size_t>(s.out_channels) * s.taps() * s.in_words());
  Aligned<char> packed(flipflow::quads_codec.bytes(s)), scratch(kernel.scratch_bytes(s));
  fill(input);
  fill(rows);
  flipflow::quads_codec.pack(s, rows.data(), packed.data());

  std::vector<int32_t> classes(s.out_height, 1), row_classes(s.out_height, 3);
  classes.front() = row_classes.front() = 0;
  classes.back() = 2;
  row_classes.back() = 6;
  const std::vector<int32_t> limit(9 * padded, fan_in / 2), base(9 * padded, fan_in), ones(padded, 1), zeros(padded, 0);
  const std::vector<uint64_t> invert(words, 0x5a5a);
  flipflow::Epilogue e{form, row_classes.data(), classes.data(), base.data(), limit.data(), base.data(), ones.data(),
                       ones.data(), zeros.data(), invert.data(), -512, 511, -2048, 2047, flipflow::Number::i16};
  Aligned<int32_t> sums(form == Form::sums ? pixels * s.out_channels : 1);
  Aligned<int16_t> fixed(form == Form::fixed ? pixels * s.out_channels : 1), residual(fixed.bytes() / 2);
  Aligned<uint64_t> bits(pixels * words);
  const flipflow::Outputs out{sums.data(), form == Form::sums ? nullptr : bits.data(),
                              form == Form::fixed ? residual.data() : nullptr, form == Form::fixed ? fixed.data() : nullptr};
  for (int i = 0; i < repeats; ++i) {
    kernel.prepare(s, input.data(), scratch.data(), 0, kernel.padded_rows(s));
    kernel.run(s, packed.data(), scratch.data(), e, out, {0, s.out_height, 0, s.out_channels});
  }
  const uint64_t sum = sums.checksum() ^ bits.checksum() ^ fixed.checksum();
  std::printf("%s %016llx\n", kernel.name, static_cast<unsigned long long>(sum));
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const char* const forms[] = {"sums", "bits", "fixed"};
  if (count == 6) {
    const int size = std::atoi(arguments[1]), channels = std::atoi(arguments[2]), repeats = std::atoi(arguments[5]);
    const bool dot = std::strcmp(arguments[4], "neon_dot") == 0, plain = std::strcmp(arguments[4], "neon") == 0;
    for (int form = 0; form < 3; ++form) {
      if (std::strcmp(arguments[3], forms[form]) != 0 || size < 2 || channels < 1 || repeats < 0 || !(dot || plain)) continue;
      return run(dot ? flipflow::neon_dot_kernels : flipflow::neon_kernels, shape_of(size, channels), static_cast<Form>(form),
                 repeats);
    }
  }
  std::fprintf(stderr, "usage: conv_driver SIZE CHANNELS sums|bits|fixed neon|neon_dot REPEATS\n");
  return 2;
}
