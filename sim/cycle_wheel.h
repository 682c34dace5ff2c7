// When the kernels of the cycle model wake: sets of kernels for this cycle, the next one, and the coming ones.

#ifndef FLIPFLOW_SIM_CYCLE_WHEEL_H_
#define FLIPFLOW_SIM_CYCLE_WHEEL_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace flipflow {

// A ring of sets, one for each of the coming cycles. A kernel may be in more sets than it should (it then wakes for nothing), and
// one that would sleep beyond the ring wakes at its end.
class Wheel {
 public:
  void resize(size_t kernels) {
    size_ = kernels;
    words_ = (kernels + 63) / 64;
    now_.assign(words_, 0);
    next_.assign(words_, 0);
    ring_.assign(kSlots * words_, 0);
    used_.assign(kSlots / 64, 0);
  }
  size_t size() const { return size_; }

  void wake_now(size_t kernel) { now_[kernel / 64] |= bit(kernel); }
  void wake_next(size_t kernel) {
    next_[kernel / 64] |= bit(kernel);
    awake_ = true;
  }
  void wake_at(size_t kernel, int64_t cycle, int64_t due) {
    const size_t slot = static_cast<size_t>(std::min(due, cycle + kSlots - 1)) % kSlots;
    ring_[slot * words_ + kernel / 64] |= bit(kernel);
    used_[slot / 64] |= bit(slot);
  }
  void wake_all() {
    for (size_t i = 0; i < size_; ++i) wake_next(i);
  }

  // Takes up the set of a cycle; start and next return its kernels from the last to the first, then -1. What is woken
  // meanwhile for this cycle must come before the kernel returned last.
  int64_t start(int64_t cycle) {
    const size_t slot = static_cast<size_t>(cycle) % kSlots;
    for (size_t i = 0; i < words_; ++i) {
      now_[i] |= next_[i];
      next_[i] = 0;
    }
    awake_ = false;
    if ((used_[slot / 64] & bit(slot)) != 0) {
      used_[slot / 64] &= ~bit(slot);
      for (size_t i = 0; i < words_; ++i) {
        now_[i] |= ring_[slot * words_ + i];
        ring_[slot * words_ + i] = 0;
      }
    }
    at_ = words_;
    return next();
  }
  int64_t next() {
    while (at_ > 0) {
      uint64_t& word = now_[at_ - 1];
      if (word != 0) {
        const int top = 63 - __builtin_clzll(word);
        word &= ~(uint64_t{1} << top);
        return static_cast<int64_t>((at_ - 1) * 64) + top;
      }
      --at_;
    }
    return -1;
  }

  // Whether a kernel wakes in the next cycle without being told to by the ring.
  bool awake() const { return awake_; }

  // The first cycle, from `cycle` on, in which a kernel wakes by the ring; -1 if none does.
  int64_t next_due(int64_t cycle) const {
    for (int64_t due = cycle; due < cycle + kSlots;) {
      const size_t slot = static_cast<size_t>(due) % kSlots;
      const uint64_t rest = used_[slot / 64] >> (slot % 64);
      if (rest != 0) return due + __builtin_ctzll(rest);
      due += 64 - static_cast<int64_t>(slot % 64);
    }
    return -1;
  }

 private:
  static constexpr int64_t kSlots = 4096;
  static uint64_t bit(size_t index) { return uint64_t{1} << (index % 64); }

  size_t size_ = 0, words_ = 0, at_ = 0;
  bool awake_ = false;
  std::vector<uint64_t> now_, next_, ring_, used_;
};

}  // namespace flipflow

#endif
