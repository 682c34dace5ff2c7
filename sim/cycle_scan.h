// The sliding-window generator for the solver of cycle_frames.h.

#ifndef FLIPFLOW_SIM_CYCLE_SCAN_H_
#define FLIPFLOW_SIM_CYCLE_SCAN_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "cycle_actors.h"
#include "cycle_window.h"

namespace flipflow {

// A writer puts the rows that are read into a ring, and drops the others; a reader walks oy, ox, ky, kx, word over them. Words are
// numbered from the first frame on, dropped ones left out.
class WindowActor final : public Actor {
 public:
  explicit WindowActor(const int64_t* p)
      : s_(WindowShape::of(p)),
        row_words_(s_.row_words()),
        ring_words_(s_.rows * row_words_),
        rows_used_(s_.rows_used()),
        stages_(s_.latency, false) {
    enter_row();
  }
  int64_t shape(int64_t words_in) override {
    frames_ = words_in / (s_.ifm_height * row_words_);
    size_t size = 4;
    while (size <= static_cast<size_t>(std::min(ring_words_, words_in))) size *= 2;
    came_.assign(size, kPast);
    return frames_ * s_.ofm_height * s_.ofm_width * s_.kernel_h * s_.kernel_w * s_.words_per_pixel;
  }
  void begin() override { writes_left_ = reads_left_ = frames_; }
  void run() override {
    stages_.drain();
    while (write() | read()) {
    }
    idle_ = stages_.finish();
  }
  bool done() const override { return writes_left_ == 0 && reads_left_ == 0 && idle_; }
  void state(std::vector<int64_t>& words, int64_t base) override {
    words.push_back(last_in_ - base);
    for (const Release& release : releases_) {
      words.push_back(release.words - written_);
      words.push_back(std::max(release.cycle, last_in_) - base);
    }
    words.push_back(kPast);
    stages_.state(words, next_, base);
  }
  void input(size_t, Channel* channel) override { in_ = channel; }
  void output(size_t, Channel* channel) override { stages_.out = channel; }

 private:
  struct Release {
    int64_t words, cycle;  // so many words, from the first on, are released in this cycle
  };

  bool write() {
    const int64_t used = rows_used_ * row_words_, all = s_.ifm_height * row_words_;
    bool moved = false;
    for (; writes_left_ > 0 && in_->ask(); moved = true) {
      int64_t cycle = std::max(in_->there(), last_in_ + 1);
      if (column_ < used) {
        if (!room()) break;
        cycle = std::max(cycle, free_from_);
        came_[static_cast<size_t>(written_++) & (came_.size() - 1)] = cycle;
      }
      in_->take(last_in_ = cycle);
      if (++column_ == all) {
        column_ = 0;
        --writes_left_;
      }
    }
    return moved;
  }
  // Whether the release that makes room for the next word is known.
  bool room() {
    while (free_words_ < written_ + 1 - ring_words_) {
      if (releases_.empty()) return false;
      free_words_ = releases_.front().words;
      free_from_ = releases_.front().cycle + 1;
      releases_.pop_front();
    }
    return true;
  }

  bool read() {
    bool moved = false;
    for (; reads_left_ > 0; moved = true) {
      if (tap_ >= 0 && tap_ >= written_) break;
      const int64_t there = tap_ >= 0 ? came_[static_cast<size_t>(tap_) & (came_.size() - 1)] + 1 : kPast;
      const int64_t tick = stages_.tick(next_, there);
      if (tick == kUnknown) break;
      stages_.put(tick);
      next_ = tick + 1;
      next_tap(stages_.cycle(tick));
    }
    return moved;
  }
  void next_tap(int64_t cycle) {
    if (++word_ < s_.words_per_pixel) {
      if (tap_ >= 0) ++tap_;
      return;
    }
    word_ = 0;
    if (++kx_ == s_.kernel_w) {
      kx_ = 0;
      if (++ky_ == s_.kernel_h) {
        ky_ = 0;
        if (++ox_ == s_.ofm_width) {
          ox_ = 0;
          end_row(cycle);
        }
      }
      enter_row();
    }
    find_tap();
  }
  void end_row(int64_t cycle) {
    const int64_t from = s_.base(oy_);
    const bool last = ++oy_ == s_.ofm_height;
    const int64_t rows = (last ? rows_used_ : s_.base(oy_)) - from;
    if (last) {
      oy_ = 0;
      frame_ += rows_used_ * row_words_;
      --reads_left_;
    }
    if (rows == 0) return;
    released_ += rows * row_words_;
    releases_.push_back({released_, cycle});
  }
  // The input row of the taps of (oy, ky).
  void enter_row() {
    const int64_t iy = oy_ * s_.stride_h - s_.pad_top + ky_;
    row_ = iy < 0 || iy >= s_.ifm_height ? -1 : frame_ + iy * row_words_;
    find_tap();
  }
  // The word of the tap (ox, kx), below 0 for padding.
  void find_tap() {
    const int64_t ix = ox_ * s_.stride_w - s_.pad_left + kx_;
    tap_ = row_ < 0 || ix < 0 || ix >= s_.ifm_width ? -1 : row_ + ix * s_.words_per_pixel + word_;
  }

  const WindowShape s_;
  const int64_t row_words_, ring_words_, rows_used_;
  Conveyor stages_;
  Channel* in_ = nullptr;
  int64_t frames_ = 0, writes_left_ = 0, reads_left_ = 0;
  bool idle_ = true;
  // The writer: word of the frame, words written, words and cycle from which room is known, cycle of the last word.
  int64_t column_ = 0, written_ = 0, free_words_ = 0, free_from_ = kPast, last_in_ = kPast;
  std::vector<int64_t> came_;  // when the words of the ring were written
  // The reader: its place, the first word of its frame and of its input row, the word it is at, its next tick.
  int64_t word_ = 0, kx_ = 0, ky_ = 0, ox_ = 0, oy_ = 0, frame_ = 0, row_ = 0, tap_ = 0, next_ = 0, released_ = 0;
  std::deque<Release> releases_;  // that the writer has not had to wait for yet
};

}  // namespace flipflow

#endif
