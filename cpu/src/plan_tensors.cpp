// Checks of tensors: sizes, places, ranges, and the order in which operators write and read them.
#include <algorithm>

#include "plan.h"
#include "plan_check.h"
#include "status.h"

namespace flipflow {
namespace {

using Lifetimes = std::vector<Lifetime>;

constexpr int32_t kNever = -2;

Lifetimes lifetimes(const Plan& plan) {
  Lifetimes lives(plan.tensors(), Lifetime{kNever, kNever});
  lives[plan.header().input] = {-1, -1};
  for (int32_t i = 0; i < plan.ops(); ++i) {
    const PlanOp& op = plan.op(i);
    for (const int32_t t : op.in) {
      if (t == kNone) continue;
      if (lives[t].written == kNever) {
        fail(Code::malformed, "%s reads tensor %d, which nothing has written yet", place(plan, i).c_str(), t);
      }
      lives[t].last_read = i;
    }
    for (const int32_t t : op.out) {
      if (t == kNone) continue;
      if (lives[t].written != kNever) {
        fail(Code::malformed, "%s writes tensor %d, which has been written before", place(plan, i).c_str(), t);
      }
      lives[t] = {i, i};
    }
  }
  Lifetime& logits = lives[plan.header().output];
  if (logits.written == kNever) fail(Code::malformed, "no operator writes the output, tensor %d", plan.header().output);
  logits.last_read = plan.ops();
  return lives;
}

bool overlap(const PlanTensor& a, const PlanTensor& b) {
  return a.offset < b.offset + tensor_bytes(b) && b.offset < a.offset + tensor_bytes(a);
}

// Elementwise operators, and residuals of convolutions, may be overwritten in place by numbers of the same size.
bool in_place(const Plan& plan, const PlanOp& op, int32_t written, int32_t read) {
  const PlanTensor &to = plan.tensor(written), &from = plan.tensor(read);
  if (written != op.out[0] || to.offset != from.offset || number_bytes(to.number) != number_bytes(from.number)) return false;
  if (to.number == Number::bits || from.number == Number::bits) return false;
  switch (op.kind) {
    case OpKind::binary_conv:
    case OpKind::integer_conv: return read == op.in[1] && read != op.in[0];
    case OpKind::add: return true;
    case OpKind::fixed_ints:
    case OpKind::threshold_ints: return true;
    default: return false;
  }
}

// Messages quote names, and nothing but plain text may come out of a file.
void check_name(const Plan& plan, int32_t index) {
  const int32_t name = plan.op(index).name;
  if (name == kNone) return;
  if (name < 0 || name >= static_cast<int32_t>(plan.header().blobs)) {
    fail(Code::malformed, "operator %d: its name is blob %d of %u", index, name, plan.header().blobs);
  }
  const char* text = static_cast<const char*>(plan.data(name));
  if (!std::all_of(text, text + plan.blob(name).bytes, [](char c) { return c >= ' ' && c <= '~'; })) {
    fail(Code::malformed, "operator %d: its name is not printable ASCII", index);
  }
}

}  // namespace

void check_order(const Plan& plan) {
  const Lifetimes lives = lifetimes(plan);
  for (int32_t i = 0; i < plan.ops(); ++i) {
    const PlanOp& op = plan.op(i);
    for (const int32_t t : op.out) {
      if (t == kNone) continue;
      for (int32_t u = 0; u < plan.tensors(); ++u) {
        if (u == t || lives[u].written == kNever || lives[u].written > i || lives[u].last_read < i) continue;
        if (!overlap(plan.tensor(t), plan.tensor(u))) continue;
        if (lives[u].last_read == i && lives[u].written < i && in_place(plan, op, t, u)) continue;
        fail(Code::malformed, "%s writes tensor %d over tensor %d, which is still needed", place(plan, i).c_str(), t, u);
      }
    }
  }
}

void Plan::check_tensors() {
  const PlanHeader& h = header();
  if (h.arena_bytes > kMaxArena) {
    fail(Code::malformed, "the arena of %llu bytes is larger than 4 GiB", static_cast<unsigned long long>(h.arena_bytes));
  }
  for (int32_t i = 0; i < tensors(); ++i) {
    const PlanTensor& t = tensors_[i];
    if (t.number > Number::i32) fail(Code::malformed, "tensor %d has the unknown number type %u", i, static_cast<uint32_t>(t.number));
    if (t.height < 1 || t.height > kMaxSide || t.width < 1 || t.width > kMaxSide || t.channels < 1 || t.channels > kMaxChannels ||
        int64_t{t.height} * t.width * ((int64_t{t.channels} + 63) / 64 * 64) > kMaxElements) {
      fail(Code::malformed, "tensor %d has the size %d x %d x %d, which is not a size this engine takes", i, t.height, t.width, t.channels);
    }
    const uint64_t bytes = tensor_bytes(t);
    if (t.offset % 64 != 0 || t.offset > h.arena_bytes || bytes > h.arena_bytes - t.offset) {
      fail(Code::malformed, "tensor %d (%llu bytes at %llu) does not lie in the arena of %llu bytes at a multiple of 64", i,
           static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(t.offset),
           static_cast<unsigned long long>(h.arena_bytes));
    }
    const Range storage = number_range(t.number);
    if (t.minimum > t.maximum || t.minimum < storage.low || t.maximum > storage.high) {
      fail(Code::malformed, "tensor %d has the range %d to %d, which %s does not hold", i, t.minimum, t.maximum, number_name(t.number));
    }
    arena_bytes_ = std::max<size_t>(arena_bytes_, t.offset + bytes);
  }
  if (h.input < 0 || h.input >= tensors() || h.output < 0 || h.output >= tensors()) {
    fail(Code::malformed, "input %d or output %d is not one of the %d tensors", h.input, h.output, tensors());
  }
  if (input().number == Number::bits || input().number == Number::i32) {
    fail(Code::malformed, "the input has the number type %s; u8, i8 and i16 are allowed", number_name(input().number));
  }
  if (output().number != Number::i32 || h.classes < 1 || int64_t{output().height} * output().width * output().channels != h.classes) {
    fail(Code::malformed, "the output is not one i32 for each of %d classes", h.classes);
  }
}

void Plan::check_ops() {
  for (int32_t i = 0; i < ops(); ++i) {
    const PlanOp& op = ops_[i];
    for (const int32_t t : {op.in[0], op.in[1], op.out[0], op.out[1]}) {
      if (t < kNone || t >= tensors()) fail(Code::malformed, "%s names tensor %d of %d", place(*this, i).c_str(), t, tensors());
    }
    check_name(*this, i);
    for (const int32_t b : {op.weights, op.threshold, op.invert, op.slope, op.bias, op.shift, op.levels}) {
      if (b < kNone || b >= static_cast<int32_t>(blobs_.size())) {
        fail(Code::malformed, "%s names blob %d of %zu", place(*this, i).c_str(), b, blobs_.size());
      }
    }
  }
  check_order(*this);
  ranges_.assign(tensors(), Range{0, 0});
  ranges_[header().input] = {input().minimum, input().maximum};
  for (int32_t i = 0; i < ops(); ++i) check_op(*this, i, ranges_);
}

}  // namespace flipflow
