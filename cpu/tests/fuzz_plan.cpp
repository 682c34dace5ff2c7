// Fuzzes the plan loader, and runs what it accepts once, with every instruction set of this processor: they must agree.
//
// Both checksums and file_bytes are put right before each try, so that mutations get past them. Two programs come of this file:
//   with libFuzzer (clang, FLIPFLOW_FUZZER):  fuzz_plan CORPUS_DIRECTORY [libFuzzer options]
//   without: fuzz_plan [--mutations N] [--seed S] [--write DIRECTORY] [FILE...]   replays the files (and seeds of its own), each also with
//   N random mutations, the same for the same seed; --write leaves the seeds there, as a corpus.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"
#include "engine.h"
#include "plan_builder.h"
#include "status.h"

using namespace flipflow;

namespace {

constexpr uint64_t kMaxArenaToRun = 1 << 20;
constexpr double kMaxWorkToRun = 3e6;

void correct(std::vector<uint8_t>& bytes) {
  if (bytes.size() < sizeof(PlanHeader)) return;
  PlanHeader h;
  std::memcpy(&h, bytes.data(), sizeof h);
  h.file_bytes = bytes.size();
  h.body_checksum = h.header_checksum = 0;
  h.header_checksum = crc32(&h, sizeof h);
  h.body_checksum = crc32(bytes.data() + sizeof h, bytes.size() - sizeof h);
  std::memcpy(bytes.data(), &h, sizeof h);
}

// Products and pooled values of one run: a few bytes can describe a network that takes hours.
double work(const Plan& plan) {
  double total = 0;
  for (int32_t i = 0; i < plan.ops(); ++i) {
    const PlanOp& op = plan.op(i);
    double taps = static_cast<double>(op.kernel_height) * op.kernel_width;
    if (op.kind == OpKind::binary_conv || op.kind == OpKind::integer_conv) {
      const Shape s = plan.shape(op);
      const double rows = (s.out_height - 1.0) * s.stride_height + s.kernel_height, columns = (s.out_width - 1.0) * s.stride_width + s.kernel_width;
      taps = std::max(taps * s.in_channels * s.padded_channels() * s.out_height * s.out_width, rows * columns * s.in_words() * 64);
      taps += taps / 10 * std::min(op.pool_kernel_height, s.out_height) * std::min(op.pool_kernel_width, s.out_width);
      // Border classes, each with constants of its own, also take memory.
      taps += static_cast<double>(std::min(s.out_height, 2 * s.kernel_height)) * std::min(s.out_width, 2 * s.kernel_width) * s.padded_channels();
    }
    const PlanTensor& in = plan.tensor(op.in[0]);
    total += taps * (op.kind >= OpKind::bit_pool ? tensor_bytes(plan.tensor(op.out[0])) : 1.0) + static_cast<double>(in.height) * in.width;
  }
  return total;
}

void run_everywhere(const std::shared_ptr<const Plan>& plan) {
  const PlanTensor& input = plan->input();
  std::vector<uint8_t> image(tensor_bytes(input));
  const size_t size = number_bytes(input.number);
  const uint64_t span = static_cast<uint64_t>(int64_t{input.maximum} - input.minimum) + 1;
  uint64_t state = 88172645463325252u;
  for (size_t i = 0; i < image.size(); i += size) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const auto pixel = static_cast<int16_t>(input.minimum + static_cast<int64_t>((state >> 33) % span));
    std::memcpy(&image[i], &pixel, size);
  }
  std::vector<int32_t> wanted(plan->header().classes), found(wanted.size());
  Engine(plan, "scalar", 1).run(image.data(), 1, wanted.data());
  for (const Kernels* kernels : compiled_kernels()) {
    if (!kernels->supported() || kernels == &scalar_kernels) continue;
    Engine engine(plan, kernels->isa, 1);
    engine.run(image.data(), 1, found.data());
    engine.describe();
    if (found != wanted && std::getenv("FLIPFLOW_FUZZ_EQUAL") != nullptr) {
      std::fprintf(stderr, "%s and scalar disagree\n", kernels->isa);
      std::abort();
    }
  }
}

enum class Outcome { refused, accepted, run };

Outcome try_plan(std::vector<uint8_t> bytes) {
  correct(bytes);
  try {
    const auto plan = Plan::from_memory(bytes.data(), bytes.size());
    if (plan->arena_bytes() > kMaxArenaToRun || work(*plan) > kMaxWorkToRun) return Outcome::accepted;
    run_everywhere(plan);
    return Outcome::run;
  } catch (const Error&) {
    return Outcome::refused;
  }
}

}  // namespace

#ifdef FLIPFLOW_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try_plan({data, data + size});
  return 0;
}

#else

namespace {

// Two plans that use every operator, and every form of convolutions.
PlanBuilder seed_binary() {
  PlanBuilder b;
  const int32_t input = b.tensor(Number::i16, 6, 5, 3, -300, 300), bits = b.tensor(Number::bits, 6, 5, 3, 0, 1);
  const int32_t pooled = b.tensor(Number::bits, 3, 2, 3, 0, 1), q = b.tensor(Number::i8, 3, 2, 70, -100, 100);
  const int32_t again = b.tensor(Number::bits, 3, 2, 70, 0, 1), r = b.tensor(Number::i8, 3, 2, 70, -50, 50);
  const int32_t fired = b.tensor(Number::bits, 3, 2, 70, 0, 1), last = b.tensor(Number::bits, 2, 1, 5, 0, 1);
  const int32_t logits = b.tensor(Number::i32, 1, 1, 4, -10, 10);
  PlanOp op = b.op(OpKind::threshold_bits, "sign", input, bits);
  op.threshold = b.numbers<int16_t>(Element::i16, {0, -5, 200}), op.invert = b.numbers<uint64_t>(Element::u64, {4});
  b.add(op);
  op = b.op(OpKind::bit_pool, "pool", bits, pooled);
  op.kernel_height = op.kernel_width = op.stride_height = op.stride_width = 2;
  op.invert = b.numbers<uint64_t>(Element::u64, {2});
  b.add(op);
  op = b.op(OpKind::binary_conv, "zeros", pooled, q);
  op.form = Form::fixed, op.out[1] = again, op.kernel_height = op.kernel_width = 3, op.pad_kind = 1;
  op.pad_top = op.pad_left = op.pad_bottom = op.pad_right = 1;
  std::vector<uint64_t> weights;
  for (uint64_t i = 0; i < 630; ++i) weights.push_back(i * 2654435761u >> 7 & 7);
  op.weights = b.numbers<uint64_t>(Element::bytes, weights);
  op.slope = b.numbers<int16_t>(Element::i16, {55}), op.bias = b.numbers<int8_t>(Element::i8, {-7}), op.shift = b.numbers<uint8_t>(Element::u8, {4});
  op.threshold = b.numbers<int8_t>(Element::i8, {3}), op.q_min = -100, op.q_max = 100;
  b.add(op);
  op = b.op(OpKind::binary_conv, "residual", again, r);
  op.form = Form::fixed, op.in[1] = q, op.out[1] = fired;
  weights.assign(140, 0x0f1e2d3c4b5a6978);
  for (size_t i = 1; i < 140; i += 2) weights[i] = i % 64;
  op.weights = b.numbers<uint64_t>(Element::bytes, weights);
  op.slope = b.numbers<int8_t>(Element::i8, {1}), op.bias = b.numbers<int8_t>(Element::i8, {0}), op.shift = b.numbers<uint8_t>(Element::u8, {1});
  op.threshold = b.numbers<int8_t>(Element::i8, {-2}), op.q_min = -20, op.q_max = 20, op.r_min = -50, op.r_max = 50;
  b.add(op);
  op = b.op(OpKind::binary_conv, "ones", fired, last);
  op.form = Form::bits, op.kernel_height = 2, op.kernel_width = 2, op.pad_kind = 3;
  op.weights = b.numbers<uint64_t>(Element::bytes, std::vector<uint64_t>(40, 21));
  op.threshold = b.numbers<int8_t>(Element::i8, {1, 2, 3, -4, 5});
  b.add(op);
  op = b.op(OpKind::binary_conv, "logits", last, logits);
  op.kernel_height = 2;
  op.weights = b.numbers<uint64_t>(Element::bytes, {1, 2, 3, 4, 5, 6, 7, 8});
  b.add(op);
  b.finish(input, logits, 4);
  return b;
}

PlanBuilder seed_integer() {
  PlanBuilder b;
  const int32_t input = b.tensor(Number::u8, 9, 9, 3, 0, 255), stem = b.tensor(Number::i8, 4, 4, 6, -90, 90);
  const int32_t stem_bits = b.tensor(Number::bits, 4, 4, 6, 0, 1), down = b.tensor(Number::i16, 4, 4, 6, -500, 500);
  const int32_t sum = b.tensor(Number::i16, 4, 4, 6, -600, 600), big = b.tensor(Number::i16, 2, 2, 6, -600, 600);
  const int32_t steps = b.tensor(Number::u8, 2, 2, 6, 0, 3), total = b.tensor(Number::i32, 1, 1, 6, -5000, 5000);
  const int32_t line = b.tensor(Number::i8, 1, 1, 6, -64, 63), logits = b.tensor(Number::i32, 1, 1, 3, -99999, 99999);
  PlanOp op = b.op(OpKind::integer_conv, "stem", input, stem);
  op.form = Form::fixed, op.out[1] = stem_bits, op.weight_number = Number::i8, op.kernel_height = op.kernel_width = 3, op.pad_kind = 1;
  op.pad_top = op.pad_left = op.pad_bottom = op.pad_right = 1;
  op.pool_kernel_height = op.pool_kernel_width = 3, op.pool_stride_height = op.pool_stride_width = 2;
  std::vector<int8_t> weights;
  for (int i = 0; i < 162; ++i) weights.push_back(static_cast<int8_t>(i * 37 % 251 - 125));
  op.weights = b.numbers<int8_t>(Element::bytes, weights);
  op.slope = b.numbers<int8_t>(Element::i8, {1, 2, 3, 4, 5, 6}), op.bias = b.numbers<int32_t>(Element::i32, {-70000});
  op.shift = b.numbers<uint8_t>(Element::u8, {12}), op.q_min = -90, op.q_max = 90, op.threshold = b.numbers<int8_t>(Element::i8, {0});
  b.add(op);
  op = b.op(OpKind::integer_conv, "down", stem, down);
  op.form = Form::fixed, op.weight_number = Number::i16;
  op.weights = b.numbers<int16_t>(Element::bytes, std::vector<int16_t>(36, -77));
  op.slope = b.numbers<int8_t>(Element::i8, {1}), op.bias = b.numbers<int8_t>(Element::i8, {0}), op.shift = b.numbers<uint8_t>(Element::u8, {5});
  op.q_min = -500, op.q_max = 500;
  b.add(op);
  op = b.op(OpKind::add, "add", stem, sum);
  op.in[1] = down, op.r_min = -600, op.r_max = 600;
  b.add(op);
  op = b.op(OpKind::int_pool, "most", sum, big);
  op.kernel_height = op.kernel_width = op.stride_height = op.stride_width = 2, op.invert = b.numbers<uint64_t>(Element::u64, {9});
  b.add(op);
  op = b.op(OpKind::threshold_ints, "steps", big, steps);
  std::vector<int32_t> levels;
  for (int i = 0; i < 18; ++i) levels.push_back(i % 3 * 100 - 50);
  op.levels = b.numbers<int32_t>(Element::i32, levels);
  b.add(op);
  op = b.op(OpKind::sum_pool, "total", steps, total);
  op.kernel_height = op.kernel_width = 2;
  b.add(op);
  op = b.op(OpKind::fixed_ints, "line", total, line);
  op.slope = b.numbers<int8_t>(Element::i8, {9}), op.bias = b.numbers<int8_t>(Element::i8, {4}), op.shift = b.numbers<uint8_t>(Element::u8, {1});
  op.q_min = -64, op.q_max = 63;
  b.add(op);
  op = b.op(OpKind::integer_conv, "logits", line, logits);
  op.weight_number = Number::i8, op.weights = b.numbers<int8_t>(Element::bytes, std::vector<int8_t>(18, 11));
  b.add(op);
  b.finish(input, logits, 3);
  return b;
}

std::vector<uint8_t> mutated(std::vector<uint8_t> bytes, std::mt19937_64& random) {
  constexpr uint32_t kInteresting[] = {0, 1, 2, 3, 7, 63, 64, 65, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff};
  const size_t tables = std::min<size_t>(bytes.size(), 4096);
  for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
    const size_t at = random() % (random() % 4 == 0 ? bytes.size() : tables);
    if (random() % 2 == 0 && at / 4 * 4 + 4 <= bytes.size()) {
      const uint32_t value = random() % 2 == 0 ? kInteresting[random() % (sizeof kInteresting / 4)] : static_cast<uint32_t>(random() % 64);
      std::memcpy(&bytes[at / 4 * 4], &value, 4);
    } else {
      bytes[at] = static_cast<uint8_t>(random());
    }
  }
  if (random() % 50 == 0) bytes.resize(random() % (bytes.size() + 1));
  return bytes.empty() ? std::vector<uint8_t>(1) : bytes;
}

std::vector<uint8_t> read_file(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (file == nullptr) {
    std::fprintf(stderr, "cannot open %s\n", path);
    std::exit(2);
  }
  std::vector<uint8_t> bytes;
  uint8_t block[65536];
  for (size_t got; (got = std::fread(block, 1, sizeof block, file)) > 0;) bytes.insert(bytes.end(), block, block + got);
  std::fclose(file);
  return bytes;
}

void write_file(const std::string& path, const std::vector<uint8_t>& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fclose(file) != 0) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::exit(2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t mutations = 0, seed = 1;
  std::vector<std::vector<uint8_t>> plans = {seed_binary().bytes(), seed_integer().bytes()};
  for (const auto& plan : plans) {
    if (try_plan(plan) == Outcome::run) continue;
    std::fprintf(stderr, "a seed is refused: the tests are out of date\n");
    return 1;
  }
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--mutations" && i + 1 < argc) mutations = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--seed" && i + 1 < argc) seed = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--write" && i + 1 < argc) {
      const std::string folder = argv[++i];
      for (size_t k = 0; k < plans.size(); ++k) write_file(folder + "/seed" + std::to_string(k) + ".plan", plans[k]);
    } else plans.push_back(read_file(argv[i]));
  }
  std::mt19937_64 random(seed);
  uint64_t counts[3] = {};
  for (const auto& plan : plans) {
    ++counts[static_cast<int>(try_plan(plan))];
    for (uint64_t i = 0; i < mutations && !plan.empty(); ++i) ++counts[static_cast<int>(try_plan(mutated(plan, random)))];
  }
  std::printf("fuzz_plan: %llu refused, %llu accepted but too large to run, %llu run\n", static_cast<unsigned long long>(counts[0]),
              static_cast<unsigned long long>(counts[1]), static_cast<unsigned long long>(counts[2]));
  return 0;
}

#endif
