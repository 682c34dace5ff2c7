#include "engine.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "dispatch.h"
#include "kernels/epilogue.h"
#include "status.h"

namespace flipflow {
namespace {

constexpr size_t kAloneElements = 16384;  // of a map, below which one thread is faster than several

int checked_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads) fail(Code::argument, "%d threads were asked for; 1 to %d are possible", threads, kMaxThreads);
  return threads;
}

Window window_of(const PlanOp& op, const PlanTensor& out) {
  return {op.kernel_height, op.kernel_width, op.stride_height, op.stride_width, op.pad_top, op.pad_left, out.height, out.width};
}

template <typename T>
size_t first_outside(const T* values, size_t count, int32_t low, int32_t high) {
  T least = values[0], most = values[0];
  for (size_t i = 0; i < count; ++i) least = std::min(least, values[i]), most = std::max(most, values[i]);
  if (least >= low && most <= high) return count;
  return std::find_if(values, values + count, [&](T v) { return v < low || v > high; }) - values;
}

}  // namespace

Engine::Engine(std::shared_ptr<const Plan> plan, const std::string& isa, int threads)
    : plan_(std::move(plan)), kernels_(kernels_named(isa)), pool_(checked_threads(threads)) {
  build(threads);
}

void Engine::build(int threads) {
  for (int32_t i = 0; i < plan_->ops(); ++i) {
    const PlanOp& op = plan_->op(i);
    Step step{-1, {}};
    const int32_t channels = plan_->tensor(op.in[0]).channels;
    switch (op.kind) {
      case OpKind::binary_conv:
      case OpKind::integer_conv:
        step.conv = static_cast<int32_t>(convs_.size());
        convs_.push_back(make_conv(*plan_, op, kernels_, threads, constants_, repacked_bytes_));
        scratch_bytes_ = std::max(scratch_bytes_, conv_scratch_bytes(convs_.back(), threads));
        break;
      case OpKind::threshold_bits:
        step.constants.fires = make_fires(*plan_, op, channels, plan_->tensor(op.in[0]).number, constants_);
        break;
      case OpKind::threshold_ints:
      case OpKind::bit_pool:
      case OpKind::int_pool: step.constants.invert = invert_words(*plan_, op, channels, constants_); break;
      case OpKind::fixed_ints:
        step.constants.bias = expand(*plan_, op.bias, channels, constants_);
        step.constants.slope = expand(*plan_, op.slope, channels, constants_);
        step.constants.shift = expand(*plan_, op.shift, channels, constants_);
        break;
      case OpKind::add:
      case OpKind::sum_pool: break;
    }
    steps_.push_back(step);
  }
  arena_ = store_.array<uint8_t>(plan_->arena_bytes());
  scratch_ = store_.take(scratch_bytes_);
}

void Engine::run(const void* images, size_t count, int32_t* logits) { profile(images, count, logits, nullptr); }

void Engine::profile(const void* images, size_t count, int32_t* logits, int64_t* nanoseconds) {
  const std::lock_guard<std::mutex> turn(running_);
  const size_t image_bytes = tensor_bytes(plan_->input()), classes = plan_->header().classes;
  for (size_t i = 0; i < count; ++i) {
    run_image(static_cast<const uint8_t*>(images) + i * image_bytes, i, logits + i * classes,
              nanoseconds == nullptr ? nullptr : nanoseconds + i * steps_.size());
  }
}

void Engine::load_image(const uint8_t* image, size_t index) {
  const PlanTensor& input = plan_->input();
  void* const map = data(plan_->header().input);
  std::memcpy(map, image, tensor_bytes(input));
  const Range storage = number_range(input.number);
  if (input.minimum == storage.low && input.maximum == storage.high) return;
  const size_t count = tensor_bytes(input) / number_bytes(input.number);
  size_t outside = count;
  if (input.number == Number::u8) outside = first_outside(static_cast<const uint8_t*>(map), count, input.minimum, input.maximum);
  if (input.number == Number::i8) outside = first_outside(static_cast<const int8_t*>(map), count, input.minimum, input.maximum);
  if (input.number == Number::i16) outside = first_outside(static_cast<const int16_t*>(map), count, input.minimum, input.maximum);
  if (outside == count) return;
  fail(Code::argument, "value %zu of image %zu is %d; the network's input goes from %d to %d", outside, index,
       load_fixed(map, input.number, outside), input.minimum, input.maximum);
}

void Engine::run_image(const uint8_t* image, size_t index, int32_t* logits, int64_t* nanoseconds) {
  using Clock = std::chrono::steady_clock;
  load_image(image, index);
  Clock::time_point before = nanoseconds != nullptr ? Clock::now() : Clock::time_point();
  for (int32_t i = 0; i < plan_->ops(); ++i) {
    run_op(i);
    if (nanoseconds == nullptr) continue;
    const Clock::time_point now = Clock::now();
    nanoseconds[i] = std::chrono::duration_cast<std::chrono::nanoseconds>(now - before).count();
    before = now;
  }
  std::memcpy(logits, data(plan_->header().output), plan_->header().classes * sizeof(int32_t));
}

void Engine::run_op(int32_t index) {
  if (steps_[index].conv >= 0) return run_conv_op(index);
  const PlanTensor& out = plan_->tensor(plan_->op(index).out[0]);
  if (pool_.threads() == 1 || static_cast<size_t>(out.height) * out.width * out.channels < kAloneElements) {
    return run_rows(index, 0, out.height);
  }
  pool_.run([&](int part) {
    const Band band = band_of(out.height, part, pool_.threads());
    run_rows(index, band.begin, band.end);
  });
}

void Engine::run_conv_op(int32_t index) {
  const PlanOp& op = plan_->op(index);
  const Conv& conv = convs_[steps_[index].conv];
  Outputs out{nullptr, nullptr, nullptr, nullptr};
  void* const first = op.out[0] != kNone ? data(op.out[0]) : nullptr;
  if (op.form == Form::sums) out.sums = static_cast<int32_t*>(first);
  if (op.form == Form::bits) out.bits = static_cast<uint64_t*>(first);
  if (op.form == Form::fixed) {
    out.fixed = first;
    out.residual = op.in[1] != kNone ? data(op.in[1]) : nullptr;
    out.bits = op.out[1] != kNone ? static_cast<uint64_t*>(data(op.out[1])) : nullptr;
  }
  run_conv(conv, data(op.in[0]), out, scratch_, pool_);
}

View Engine::view(int32_t tensor) const {
  const PlanTensor& t = plan_->tensor(tensor);
  return {data(tensor), t.number, t.height, t.width, t.channels};
}

void Engine::run_rows(int32_t index, int32_t begin, int32_t end) {
  const PlanOp& op = plan_->op(index);
  const Constants& constants = steps_[index].constants;
  const View in = view(op.in[0]);
  const PlanTensor& to = plan_->tensor(op.out[0]);
  void* const out = data(op.out[0]);
  switch (op.kind) {
    case OpKind::threshold_bits:
      return threshold_bits(in, constants.fires, static_cast<uint64_t*>(out), begin, end);
    case OpKind::threshold_ints: {
      const Steps steps{static_cast<const int32_t*>(plan_->data(op.levels)), constants.invert, to.minimum, to.maximum};
      return threshold_ints(in, steps, to.number, out, begin, end);
    }
    case OpKind::add: return add(in, view(op.in[1]), op.r_min, op.r_max, to.number, out, begin, end);
    case OpKind::bit_pool:
      return bit_pool(in, window_of(op, to), constants.invert, static_cast<uint64_t*>(out), begin, end);
    case OpKind::int_pool: return int_pool(in, window_of(op, to), constants.invert, out, begin, end);
    case OpKind::sum_pool: return sum_pool(in, window_of(op, to), to.number, out, begin, end);
    case OpKind::fixed_ints:
      return fixed_ints(in, {constants.bias, constants.slope, constants.shift, op.q_min, op.q_max}, to.number, out, begin, end);
    default: return;
  }
}

}  // namespace flipflow
