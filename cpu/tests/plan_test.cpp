// Tests of the loader: what it refuses, and why. Plans are made in memory (plan_builder.h) and then damaged. Prints what fails; exit
// status 1 then.
#include <functional>
#include <string>
#include <vector>

#include "engine_test_support.h"
#include "plan.h"
#include "status.h"

using namespace flipflow;
using namespace flipflow::test;

namespace {

// The message with which a plan is refused; "" where it is accepted.
std::string refusal(const std::vector<uint8_t>& bytes) {
  try {
    Plan::from_memory(bytes.data(), bytes.size());
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

void test_crc() {
  expect(crc32("123456789", 9) == 0xcbf43926, "CRC-32 of the digits, a published value");
  const std::string text = "flip and flow, in any number of steps";
  expect(crc32(text.data() + 5, text.size() - 5, crc32(text.data(), 5)) == crc32(text.data(), text.size()), "CRC-32 in two steps");
}

struct Damage {
  const char* wanted;  // part of the message
  std::function<void(PlanBuilder&)> change;
};

void test_malformed() {
  const Damage damages[] = {
      {"has version 1 of the format; this build reads version 2", [](PlanBuilder& b) { b.header.version = 1; }},
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

}  // namespace

int main() {
  test_crc();
  test_malformed();
  test_damaged_bytes();
  test_overflow();
  return report("plan_test");
}
