// The kernels of the cycle model for the solver of cycle_frames.h: not what they do in a cycle, but in which cycles they do
// what they have to. sim/cycle_model.py says what each one does.

#ifndef FLIPFLOW_SIM_CYCLE_ACTORS_H_
#define FLIPFLOW_SIM_CYCLE_ACTORS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "cycle_channel.h"

namespace flipflow {

// Takes and gives the words of one frame after the other, as far as is known when words come and there is room for others.
class Actor : public Waiter {
 public:
  // Words given a frame where so many are taken.
  virtual int64_t shape(int64_t words_in) = 0;
  // The next frame may pass.
  virtual void begin() = 0;
  // Whether all words of the frame were taken and given.
  virtual bool done() const = 0;
  // Appends what the future depends on at the end of a frame, in cycles from `base` on.
  virtual void state(std::vector<int64_t>& words, int64_t base) = 0;
  virtual void input(size_t slot, Channel* channel) = 0;
  virtual void output(size_t port, Channel* channel) = 0;
};

// From a FIFO straight into the next one.
class Relay final : public Actor {
 public:
  int64_t shape(int64_t words_in) override { return words_ = words_in; }
  void begin() override { left_ = words_; }
  void run() override {
    for (; left_ > 0 && in_->ask(); --left_) {
      const int64_t cycle = out_->accept(in_->there());
      if (cycle == kUnknown) break;
      in_->take(cycle);
    }
    out_->flush();
  }
  bool done() const override { return left_ == 0; }
  void state(std::vector<int64_t>&, int64_t) override {}
  void input(size_t, Channel* channel) override { in_ = channel; }
  void output(size_t, Channel* channel) override { out_ = channel; }

 private:
  Channel *in_ = nullptr, *out_ = nullptr;
  int64_t words_ = 0, left_ = 0;
};

// Width converter. Word n in needs room: of the words out, as many must have left before as make its elements fit. Word m out
// needs the words in that its elements are of.
class GearboxActor final : public Actor {
 public:
  explicit GearboxActor(const int64_t* p) : in_elems_(p[0]), out_elems_(p[1]), cap_(p[2]) {}
  int64_t shape(int64_t words_in) override {
    words_ = words_in;
    const int64_t words_out = words_in * in_elems_ / out_elems_;
    // No event looks back by more words than fit.
    int64_t size = 4;
    while (size < std::min(std::max(words_in, words_out), cap_ / std::min(in_elems_, out_elems_)) + 3) size *= 2;
    mask_ = static_cast<size_t>(size - 1);
    came_.assign(static_cast<size_t>(size), kPast);
    left_.assign(static_cast<size_t>(size), kPast);
    return words_out;
  }
  void begin() override {
    last_in_ += words_;
    last_out_ = last_in_ * in_elems_ / out_elems_;
  }
  void run() override {
    while (take() | give()) {
    }
    out_->flush();
  }
  bool done() const override { return in_count_ == last_in_ && out_count_ == last_out_; }
  void state(std::vector<int64_t>& words, int64_t base) override {
    words.push_back(came_[place(in_count_ - 1)] - base);
    const int64_t oldest = std::max<int64_t>(0, out_count_ - static_cast<int64_t>(mask_));
    for (int64_t m = oldest; m < out_count_; ++m) words.push_back(left_[place(m)] - base);
  }
  void input(size_t, Channel* channel) override { in_ = channel; }
  void output(size_t, Channel* channel) override { out_ = channel; }

 private:
  size_t place(int64_t word) const { return static_cast<size_t>(word) & mask_; }
  bool take() {
    const int64_t before = in_count_;
    for (; in_count_ < last_in_ && in_->ask(); ++in_count_) {
      while (room_ * out_elems_ < (in_count_ + 1) * in_elems_ - cap_) ++room_;
      if (room_ > out_count_) break;
      int64_t cycle = std::max(in_->there(), came_[place(in_count_ - 1)] + 1);
      if (room_ > 0) cycle = std::max(cycle, left_[place(room_ - 1)] + 1);
      in_->take(came_[place(in_count_)] = cycle);
    }
    return in_count_ > before;
  }
  bool give() {
    const int64_t before = out_count_;
    for (; out_count_ < last_out_; ++out_count_) {
      while (needed_ * in_elems_ < (out_count_ + 1) * out_elems_) ++needed_;
      if (needed_ > in_count_) break;
      const int64_t cycle = out_->accept(std::max(left_[place(out_count_ - 1)], came_[place(needed_ - 1)]) + 1);
      if (cycle == kUnknown) break;
      left_[place(out_count_)] = cycle;
    }
    return out_count_ > before;
  }

  const int64_t in_elems_, out_elems_, cap_;
  Channel *in_ = nullptr, *out_ = nullptr;
  size_t mask_ = 0;
  int64_t words_ = 0;
  int64_t in_count_ = 0, out_count_ = 0;  // words taken and given
  int64_t last_in_ = 0, last_out_ = 0;    // these at the end of the frame
  int64_t room_ = 0, needed_ = 0;  // words that must have left for the next one in, must have come for the next one out
  std::vector<int64_t> came_, left_;  // cycles of the last ones
};

// `steps` steps a vector, of which those from take_from to below take_to take a word; steps emit_from, + emit_period, ... give one.
struct StepShape {
  int64_t steps, take_from, take_to, emit_from, emit_period, latency;
};

// Steps, mvtu (skid) and pad.
class StepsActor final : public Actor {
 public:
  StepsActor(const StepShape& shape, bool skid)
      : s_(shape), emits_((s_.steps - 1 - s_.emit_from) / s_.emit_period + 1), emit_(s_.emit_from), stages_(s_.latency, skid) {
    step_ = following(-1);
    next_ = step_;
  }
  int64_t shape(int64_t words_in) override {
    vectors_ = words_in / (s_.take_to - s_.take_from);
    return vectors_ * emits_;
  }
  void begin() override { left_ = vectors_; }
  void run() override {
    stages_.drain();
    while (left_ > 0) {
      const bool takes = step_ >= s_.take_from && step_ < s_.take_to;
      if (takes && !in_->ask()) break;
      const int64_t tick = stages_.tick(next_, takes ? in_->there() : kPast);
      if (tick == kUnknown) break;
      if (takes) in_->take(stages_.cycle(tick));
      if (step_ == emit_) {
        stages_.put(tick);
        emit_ += s_.emit_period;
      }
      advance(tick);
    }
    idle_ = stages_.finish();
  }
  bool done() const override { return left_ == 0 && idle_; }
  void state(std::vector<int64_t>& words, int64_t base) override { stages_.state(words, next_, base); }
  void input(size_t, Channel* channel) override { in_ = channel; }
  void output(size_t, Channel* channel) override { stages_.out = channel; }

 private:
  // The step after `step` that takes or gives; `steps` if there is none.
  int64_t following(int64_t step) const {
    const int64_t emit = std::min(emit_, s_.steps);
    return step + 1 < s_.take_to ? std::min(emit, std::max(step + 1, s_.take_from)) : emit;
  }
  void advance(int64_t tick) {
    int64_t to = following(step_);
    next_ = tick + to - step_;
    if (to == s_.steps) {
      --left_;
      emit_ = s_.emit_from;
      to = following(-1);
      next_ += to;
    }
    step_ = to;
  }

  const StepShape s_;
  const int64_t emits_;
  int64_t emit_;  // the next step that gives
  Conveyor stages_;
  Channel* in_ = nullptr;
  int64_t vectors_ = 0, left_ = 0;
  int64_t step_ = 0, next_ = 0;  // the next step of interest, and the tick before which it is not due
  bool idle_ = true;
};

// Takes a word at each of its inputs in the same cycle, and gives one: a join, or a unit of one step.
template <size_t kInputs>
class PassActor final : public Actor {
 public:
  PassActor(int64_t latency, bool skid) : stages_(latency, skid) {}
  int64_t shape(int64_t words_in) override { return words_ = words_in; }
  void begin() override { left_ = words_; }
  void run() override {
    stages_.drain();
    for (; left_ > 0; --left_) {
      bool known = true;
      int64_t there = kPast;
      for (Channel* in : in_) {
        known = in->ask() && known;
        there = std::max(there, in->there());
      }
      if (!known) break;
      const int64_t tick = stages_.tick(next_, there);
      if (tick == kUnknown) break;
      for (Channel* in : in_) in->take(stages_.cycle(tick));
      stages_.put(tick);
      next_ = tick + 1;
    }
    idle_ = stages_.finish();
  }
  bool done() const override { return left_ == 0 && idle_; }
  void state(std::vector<int64_t>& words, int64_t base) override { stages_.state(words, next_, base); }
  void input(size_t slot, Channel* channel) override { in_[slot] = channel; }
  void output(size_t, Channel* channel) override { stages_.out = channel; }

 private:
  Conveyor stages_;
  std::array<Channel*, kInputs> in_{};
  int64_t words_ = 0, left_ = 0, next_ = 0;
  bool idle_ = true;
};

// A word is taken when every output has let go of the one before, and offered from the next cycle on.
class ForkActor final : public Actor {
 public:
  explicit ForkActor(const int64_t* p) : out_(static_cast<size_t>(p[0])) {}
  int64_t shape(int64_t words_in) override { return words_ = words_in; }
  void begin() override { left_ = words_; }
  void run() override {
    while (give() && left_ > 0 && in_->ask()) {
      const int64_t cycle = std::max(in_->there(), let_go_);
      in_->take(cycle);
      from_ = cycle + 1;
      holding_ = (uint64_t{1} << out_.size()) - 1;
      --left_;
    }
    for (Channel* out : out_) out->flush();
  }
  bool done() const override { return left_ == 0 && holding_ == 0; }
  void state(std::vector<int64_t>& words, int64_t base) override { words.push_back(let_go_ - base); }
  void input(size_t, Channel* channel) override { in_ = channel; }
  void output(size_t port, Channel* channel) override { out_[port] = channel; }

 private:
  // Offers the word where it was not taken yet; returns whether it was taken everywhere.
  bool give() {
    for (uint64_t rest = holding_; rest != 0; rest &= rest - 1) {
      const int64_t cycle = out_[static_cast<size_t>(__builtin_ctzll(rest))]->accept(from_);
      if (cycle == kUnknown) continue;
      let_go_ = std::max(let_go_, cycle);
      holding_ &= ~(rest & -rest);
    }
    return holding_ == 0;
  }

  Channel* in_ = nullptr;
  std::vector<Channel*> out_;
  int64_t words_ = 0, left_ = 0;
  int64_t from_ = 0, let_go_ = kPast;
  uint64_t holding_ = 0;  // outputs that have not taken the word yet
};

}  // namespace flipflow

#endif
