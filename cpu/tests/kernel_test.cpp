// Contract test of the kernels: random convolutions through every instruction set, compared with plain loops over
// numbers (kernel_test_case.h). Checks besides the results: nothing is written outside the buffers (under
// AddressSanitizer: nor read), the input, the weights and the prepared scratch stay as they are, any split into rows
// and channel blocks gives the same, and packing is undone by unpacking.
//
//   kernel_test [--cases N] [--seed S] [--only INDEX] [--set NAME]... [--require NAME]...
//
// Prints what was run for each set. Exits with 1 at a difference, 2 where a required set cannot run, 3 for bad
// arguments.
#include <cinttypes>
#include <cstdio>

#include "kernel_test_maps.h"
#if defined(__x86_64__)
#include "kernels/x86_integer.h"
#endif

namespace flipflow {

// What is not linked in is null, so that one set can be tested alone.
#define FLIPFLOW_WEAK extern __attribute__((weak))
FLIPFLOW_WEAK const LayoutCodec lanes_codec, quads_codec, dot4x16_codec, dot4x4_codec;
#if defined(__x86_64__)
FLIPFLOW_WEAK const Kernels avx2_kernels, avx512bw_kernels, avx512_kernels;
#endif
#if defined(__aarch64__) || defined(FLIPFLOW_SIMDE)
FLIPFLOW_WEAK const Kernels neon_kernels, neon_dot_kernels;
#endif

namespace test {
namespace {

struct Span {
  int32_t begin, end;
};

// [0, size) cut at random multiples of `unit`, in random order.
std::vector<Span> cut(Random& random, int32_t size, int32_t unit) {
  std::vector<Span> parts;
  const bool whole = random.chance(40);
  for (int32_t begin = 0; begin < size;) {
    const int32_t left = (size - begin + unit - 1) / unit;
    const int32_t end = whole ? size : std::min<int32_t>(size, begin + unit * static_cast<int32_t>(random.between(1, left)));
    parts.push_back({begin, end});
    begin = end;
  }
  for (size_t i = parts.size(); i > 1; --i) std::swap(parts[i - 1], parts[random.between(0, static_cast<int64_t>(i) - 1)]);
  return parts;
}

std::string complain(const char* what) { return what; }

std::string differs(const Case& c, const char* what, size_t index, int64_t got, int64_t wanted) {
  char text[160];
  const size_t m = index % c.shape.out_channels, pixel = index / c.shape.out_channels;
  std::snprintf(text, sizeof text, "%s[y %zu][x %zu][m %zu] is %" PRId64 ", must be %" PRId64, what,
                pixel / c.shape.out_width, pixel % c.shape.out_width, m, got, wanted);
  return text;
}

// The first difference between the maps written and the case, or an empty string.
std::string compare(const Case& c, Guarded& sums, Guarded& bits, Guarded& fixed) {
  const int32_t words = c.shape.out_words(), channels = c.shape.out_channels;
  for (size_t i = 0; i < c.sums.size(); ++i) {
    const size_t pixel = i / channels, m = i % channels;
    if (c.form == Form::sums && sums.as<int32_t>()[i] != c.sums[i])
      return differs(c, "sums", i, sums.as<int32_t>()[i], c.sums[i]);
    if (c.store_fixed && load(fixed.data(), c.fixed, i) != c.after[i])
      return differs(c, "fixed", i, load(fixed.data(), c.fixed, i), c.after[i]);
    if (c.form == Form::sums || !c.store_bits) continue;
    const uint64_t word = bits.as<uint64_t>()[pixel * words + m / 64];
    if ((word >> (m % 64) & 1) != (c.bits[i] ? 1u : 0u)) return differs(c, "bits", i, word >> (m % 64) & 1, c.bits[i]);
    if (static_cast<int32_t>(m) + 1 == channels && channels % 64 != 0 && word >> (channels % 64) != 0)
      return differs(c, "unused bits of bits", i, static_cast<int64_t>(word >> (channels % 64)), 0);
  }
  return "";
}

// Runs one case through one kernel. Returns what is wrong, or an empty string.
std::string run_case(const Case& c, const ConvKernel& kernel, const LayoutCodec& codec, Random& random) {
  const Shape& s = c.shape;
  const size_t in_pixels = size_t{1} * s.in_height * s.in_width, pixels = size_t{1} * s.out_height * s.out_width;
  Guarded input(bytes_of(s.input, in_pixels, s.in_channels));
  Guarded rows(bytes_of(s.weights, size_t{1} * s.out_channels * s.taps(), s.in_channels));
  Guarded packed(codec.bytes(s)), unpacked(rows.bytes()), scratch(kernel.scratch_bytes(s));
  encode(c.activations, s.input, s.in_channels, input);
  encode(c.weights, s.weights, s.in_channels, rows);
  codec.pack(s, rows.data(), packed.data());
  codec.unpack(s, packed.data(), unpacked.data());
  if (!unpacked.same(rows)) return complain("unpacking gives other weights");
  if (!packed.intact() || !unpacked.intact() || !rows.intact()) return complain("written outside the weights");
  Guarded packed_before(packed.bytes()), input_before(input.bytes()), scratch_before(scratch.bytes());
  packed_before.copy(packed);
  input_before.copy(input);

  for (const Span& part : cut(random, kernel.padded_rows(s), 1))
    kernel.prepare(s, input.data(), scratch.data(), part.begin, part.end);
  scratch_before.copy(scratch);
  if (!input.same(input_before) || !input.intact()) return complain("prepare wrote to the input");
  if (!scratch.intact()) return complain("prepare wrote outside the scratch");

  Constants constants(c);
  const size_t elements = pixels * s.out_channels;
  Guarded sums(c.form == Form::sums ? elements * 4 : 0), bits(c.store_bits ? pixels * s.out_words() * 8 : 0);
  Guarded fixed(c.store_fixed ? elements * size_of(c.fixed) : 0), before(c.residual ? elements * size_of(c.fixed) : 0);
  if (c.residual) encode(c.before, c.fixed, s.out_channels, before);
  if (c.in_place) fixed.copy(before);
  Outputs out{c.form == Form::sums ? sums.as<int32_t>() : nullptr, c.store_bits ? bits.as<uint64_t>() : nullptr,
              c.in_place ? fixed.data() : c.residual ? before.data() : nullptr, c.store_fixed ? fixed.data() : nullptr};
  for (const Span& row : cut(random, s.out_height, 1))
    for (const Span& block : cut(random, s.out_channels, 64))
      kernel.run(s, packed.data(), scratch.data(), constants.epilogue, out, {row.begin, row.end, block.begin, block.end});

  std::string wrong = compare(c, sums, bits, fixed);
  if (!wrong.empty()) return wrong;
  if (!scratch.same(scratch_before) || !packed.same(packed_before)) return complain("run wrote to scratch or weights");
  for (Guarded* g : {&sums, &bits, &fixed, &before, &scratch, &packed})
    if (!g->intact()) return complain("written outside a buffer");
  return constants.intact() ? "" : complain("written outside the constants");
}

std::string describe(const Case& c) {
  const char* numbers[] = {"bits", "u8", "i8", "i16", "i32"};
  const char* forms[] = {"sums", "bits", "fixed"};
  const Shape& s = c.shape;
  char text[400];
  std::snprintf(text, sizeof text,
                "in %dx%dx%d, kernel %dx%d, stride %dx%d, pad %d,%d, out %dx%dx%d, border %s, %s x %s, form %s %s%s%s%s%s",
                s.in_height, s.in_width, s.in_channels, s.kernel_height, s.kernel_width, s.stride_height, s.stride_width,
                s.pad_top, s.pad_left, s.out_height, s.out_width, s.out_channels,
                c.ternary ? "ternary" : s.border == Border::ones ? "ones" : "zeros", numbers[static_cast<int>(s.input)],
                numbers[static_cast<int>(s.weights)], forms[static_cast<int>(c.form)],
                c.form == Form::fixed ? numbers[static_cast<int>(c.fixed)] : "", c.store_fixed ? " stored" : "",
                c.store_bits ? " +bits" : "", c.residual ? " +residual" : "", c.in_place ? " in place" : "");
  return text;
}

const LayoutCodec* codec_of(Layout layout) {
  const LayoutCodec* codecs[] = {&rows_codec, &lanes_codec, &quads_codec, &dot4x16_codec, &dot4x4_codec};
  for (const LayoutCodec* codec : codecs)
    if (codec != nullptr && codec->layout == layout) return codec;
  return nullptr;
}

#if defined(__x86_64__)
bool has_avx512bw() { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"); }

// The AVX-512BW kernel for processors without VNNI, which the set does not choose where there is VNNI.
const Kernels avx512madd_kernels = {"avx512madd", has_avx512bw, scalar_kernels.binary, avx512madd_integer,
                                    scalar_kernels.limit};
#endif

struct Entry {
  const char* name;
  const Kernels* kernels;
  bool wanted;
  int64_t run[2] = {0, 0}, refused[2] = {0, 0};  // integer, binary
  bool ready() const { return wanted && kernels != nullptr && kernels->supported(); }
};

std::vector<Entry> entries() {
  std::vector<Entry> all;
  const auto add = [&](const char* name, const Kernels* kernels) { all.push_back({name, kernels, true}); };
  add("scalar", &scalar_kernels);
#if defined(__x86_64__)
  add("avx2", &avx2_kernels);
  add("avx512madd", &avx512madd_kernels);
  add("avx512bw", &avx512bw_kernels);
  add("avx512", &avx512_kernels);
#endif
#if defined(__aarch64__) || defined(FLIPFLOW_SIMDE)
  add("neon", &neon_kernels);
  add("neon_dot", &neon_dot_kernels);
#endif
  return all;
}

bool limit_counts(const Kernels& kernels) {
  const double once = kernels.limit(3);
  return once > 0 && kernels.limit(6) == 2 * once;
}

struct Options {
  int64_t cases = 2000, only = -1;
  uint64_t seed = 1;
  std::vector<std::string> sets, required;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i];
    if (i + 1 == argc) return false;
    const char* value = argv[i + 1];
    if (option == "--cases") options.cases = std::strtoll(value, nullptr, 10);
    else if (option == "--seed") options.seed = std::strtoull(value, nullptr, 10);
    else if (option == "--only") options.only = std::strtoll(value, nullptr, 10);
    else if (option == "--set") options.sets.push_back(value);
    else if (option == "--require") options.required.push_back(value);
    else return false;
  }
  return true;
}

bool contains(const std::vector<std::string>& names, const char* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// 0 where all is well; prints the first difference otherwise.
int run_all(const Options& options, std::vector<Entry>& all) {
  const int64_t begin = options.only >= 0 ? options.only : 0, end = options.only >= 0 ? options.only + 1 : options.cases;
  for (int64_t index = begin; index < end; ++index) {
    const uint64_t seed = options.seed * 1'000'003 + static_cast<uint64_t>(index);
    const Case c = draw_case(seed);
    for (Entry& entry : all) {
      if (!entry.ready()) continue;
      const ConvKernel& kernel = c.binary ? entry.kernels->binary : entry.kernels->integer;
      if (!kernel.accepts(c.shape)) {
        ++entry.refused[c.binary];
        continue;
      }
      const LayoutCodec* codec = codec_of(kernel.layout);
      Random random(seed ^ 0x5bd1e995);
      const std::string wrong = codec == nullptr ? "its layout is not linked in" : run_case(c, kernel, *codec, random);
      ++entry.run[c.binary];
      if (wrong.empty()) continue;
      std::printf("FAILED %s, %s, --seed %" PRIu64 " --only %" PRId64 ": %s\n  %s\n", entry.name, kernel.name, options.seed,
                  index, wrong.c_str(), describe(c).c_str());
      return 1;
    }
  }
  return 0;
}

int report(const Options& options, const std::vector<Entry>& all) {
  int status = 0;
  for (const std::string& name : options.required) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Entry& entry) { return name == entry.name; });
    if (found != all.end() && found->ready() && found->run[0] + found->run[1] > 0) continue;
    std::printf("REQUIRED set %s was not run\n", name.c_str());
    status = 2;
  }
  for (const Entry& entry : all) {
    if (!entry.wanted) continue;
    if (entry.kernels == nullptr) std::printf("%-10s skipped: not linked in\n", entry.name);
    else if (!entry.kernels->supported()) std::printf("%-10s skipped: not supported by this processor\n", entry.name);
    else
      std::printf("%-10s binary %" PRId64 " (refused %" PRId64 "), integer %" PRId64 " (refused %" PRId64 ")\n", entry.name,
                  entry.run[1], entry.refused[1], entry.run[0], entry.refused[0]);
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::printf("usage: kernel_test [--cases N] [--seed S] [--only INDEX] [--set NAME]... [--require NAME]...\n");
    return 3;
  }
  std::vector<Entry> all = entries();
  for (Entry& entry : all) entry.wanted = options.sets.empty() || contains(options.sets, entry.name);
  for (const Entry& entry : all) {
    if (!entry.ready() || limit_counts(*entry.kernels)) continue;
    std::printf("FAILED %s: limit does not count its operations\n", entry.name);
    return 1;
  }
  const int failed = run_all(options, all);
  return failed != 0 ? failed : report(options, all);
}

}  // namespace test
}  // namespace flipflow

int main(int argc, char** argv) { return flipflow::test::main(argc, argv); }
