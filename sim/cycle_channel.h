// Streams of words for the solver of cycle_frames.h: when each word is offered and taken, and a conveyor of register stages.

#ifndef FLIPFLOW_SIM_CYCLE_CHANNEL_H_
#define FLIPFLOW_SIM_CYCLE_CHANNEL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flipflow {

constexpr int64_t kPast = -(int64_t{1} << 60);  // a cycle before all others
constexpr int64_t kUnknown = -(int64_t{1} << 61);  // a cycle that hangs on words not looked at yet

// What goes on where a word, or room for one, is known.
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void run() = 0;
};

// Actors that may be able to go on. Whoever waits for a word runs at once, so that words go as far down the pipeline as they can;
// who waits for room is noted.
class Worklist {
 public:
  void resize(size_t actors) { bits_.assign((actors + 63) / 64, 0); }
  void wake(size_t actor) { bits_[actor / 64] |= uint64_t{1} << (actor % 64); }
  // Runs an actor further down than all that are running.
  void run(Waiter* actor, size_t number) {
    if (depth_ == kDeepest) return wake(number);
    ++depth_;
    actor->run();
    --depth_;
  }
  // Takes out the first actor from number `from` on; -1 if there is none.
  int64_t take(size_t from) {
    for (size_t word = from / 64; word < bits_.size(); ++word) {
      const uint64_t left = word == from / 64 ? bits_[word] & (~uint64_t{0} << (from % 64)) : bits_[word];
      if (left == 0) continue;
      bits_[word] &= ~(left & -left);
      return static_cast<int64_t>(word * 64) + __builtin_ctzll(left);
    }
    return -1;
  }

 private:
  static constexpr int kDeepest = 1000;  // what fits on any stack
  int depth_ = 0;
  std::vector<uint64_t> bits_;
};

// The words from one actor to another: through a FIFO, or (depth 0) a bare wire, on which a word is given when it is taken.
// A word is known to its consumer once its producer has accept()ed it, and its room to the producer once it was taken.
class Channel {
 public:
  Channel(int64_t depth, Worklist* awake) : depth_(depth), awake_(awake) {
    while (size_ <= depth_ && size_ < kMostAtFirst) size_ *= 2;
    mask_ = size_ - 1;
    offered_.assign(static_cast<size_t>(size_), kPast);
    taken_.assign(static_cast<size_t>(size_), kPast);
    offered_end_ = taken_end_ = size_;
  }

  // For the producer: the cycle in which a word offered from cycle `from` on is given away; kUnknown where the producer is
  // to ask again, with the same cycle, when it is woken.
  int64_t accept(int64_t from) {
    if (given_ == offered_end_) make_place();
    if (depth_ == 0) return accept_bare(from);
    const int64_t leaves = given_ - depth_;  // the word that must have left before
    if (leaves >= count_) {
      flush();
      if (leaves >= count_) {
        producer_waits_ = true;
        return kUnknown;
      }
    }
    const int64_t given = leaves < 0 ? from : std::max(from, taken_[place(leaves)] + 1);
    offered_[place(given_++)] = last_given_ = given;
    return given;
  }
  // For the producer, when it has no more words: lets the consumer go on with those that came.
  void flush() {
    if (!consumer_waits_ || count_ == given_) return;
    consumer_waits_ = false;
    awake_->run(waiter, consumer);
  }

  // For the consumer: whether the next word is known; if not, it is woken when it is.
  bool ask() {
    if (count_ != given_) return true;
    consumer_waits_ = true;
    return false;
  }
  // The cycle from which the next word is there.
  int64_t there() const { return offered_[place(count_)] + (depth_ > 0 ? 1 : 0); }
  void take(int64_t cycle) {
    if (count_ == taken_end_) make_place();
    taken_[place(count_++)] = cycle;
    if (producer_waits_) {
      producer_waits_ = false;
      awake_->wake(producer);
    }
  }

  // Ends the count of the most words held with those that came up to cycle `end`; words not taken so far never are.
  void finish(int64_t end) {
    mark();
    for (; marked_ < given_ && offered_[place(marked_)] <= end; ++marked_) high_water_ += grows(marked_);
  }
  // The most words that the FIFO held, of all up to the last one taken.
  int64_t high_water() {
    mark();
    return high_water_;
  }
  // Appends what the future depends on where all words were taken: the takes that may delay a further word. Relative to `base`.
  void state(std::vector<int64_t>& words, int64_t base) const {
    const int64_t oldest = std::max<int64_t>(0, count_ - depth_);
    for (int64_t n = count_ - 1; n >= oldest && taken_[place(n)] > last_given_; --n) words.push_back(taken_[place(n)] - base);
    words.push_back(kPast);  // the end of the list
  }

  size_t producer = 0, consumer = 0;  // numbers of the actors
  Waiter* waiter = nullptr;           // the consumer

 private:
  static constexpr int64_t kMostAtFirst = 4096;

  size_t place(int64_t word) const { return static_cast<size_t>(word & mask_); }
  int64_t accept_bare(int64_t from) {
    if (!pending_) {
      offered_[place(given_++)] = from;
      pending_ = true;
      flush();
    }
    if (count_ < given_) {
      producer_waits_ = true;
      return kUnknown;
    }
    pending_ = false;
    return taken_[place(given_ - 1)];
  }
  // Finds the high-water mark for all words of which it is known by now.
  void mark() {
    for (; marked_ < given_ && marked_ - high_water_ < count_; ++marked_) high_water_ += grows(marked_);
  }
  // Whether the FIFO holds more than `high_water_` after word n came: exactly if word n - high_water_ had not left yet.
  bool grows(int64_t n) const {
    const int64_t leaves = n - high_water_;
    return leaves >= 0 && (leaves >= count_ || taken_[place(leaves)] > offered_[place(n)]);
  }
  // Before a ring is written beyond its end: makes it larger up to the depth, then finds what may be overwritten. (Words up to
  // the last taken one are marked by then, and those to come look back by less than the ring.)
  void make_place() {
    mark();
    if (size_ <= depth_) {
      size_ *= 2;  // nothing has been overwritten so far, so all stays in its place
      mask_ = size_ - 1;
      offered_.resize(static_cast<size_t>(size_), kPast);
      taken_.resize(static_cast<size_t>(size_), kPast);
    }
    offered_end_ = size_ <= depth_ ? size_ : marked_ + size_;
    taken_end_ = size_ <= depth_ ? size_ : marked_ - high_water_ + size_;
  }

  const int64_t depth_;
  Worklist* const awake_;
  int64_t given_ = 0, count_ = 0;  // words given and taken
  int64_t offered_end_, taken_end_;
  int64_t last_given_ = kPast;
  int64_t size_ = 64, mask_;  // of both rings, a power of two, and that less 1
  bool producer_waits_ = false, consumer_waits_ = false;
  bool pending_ = false;  // a bare wire's last word was offered, but is not known to be taken
  int64_t marked_ = 0, high_water_ = 0;
  std::vector<int64_t> offered_, taken_;  // the cycles in which words were given and taken
};

// Register stages that all move, or all hold because the last one's word is refused. Time is counted in ticks, cycles in which
// they move: a word put in at a tick is offered `latency` ticks later, whatever happens. With a skid buffer they hold only after the
// cycle in which the word was refused first.
class Conveyor {
 public:
  Conveyor(int64_t latency, bool skid) : latency_(latency), held_(latency + (skid ? 1 : 0)) {
    size_t size = 4;  // fewer words are on their way than there are stages
    while (size < static_cast<size_t>(latency) + 2) size *= 2;
    mask_ = size - 1;
    holds_.resize(size);
    waiting_.resize(size);
  }

  // The first tick from `next` on whose cycle is not before `there`; kUnknown where that hangs on a word not given away yet.
  int64_t tick(int64_t next, int64_t there) {
    int64_t tick = std::max(next, there - shift_);
    for (;;) {
      while (first_hold_ != last_hold_ && holds_[first_hold_ & mask_].tick <= tick) {
        const Hold& hold = holds_[first_hold_++ & mask_];
        shift_ = hold.shift;
        tick = std::max({next, hold.tick, there - shift_});
      }
      if (first_waiting_ == last_waiting_ || waiting_[first_waiting_ & mask_] + held_ > tick) return tick;
      if (!give_waiting()) return kUnknown;
    }
  }
  // The cycle of a tick that tick() has just returned.
  int64_t cycle(int64_t tick) const { return tick + shift_; }
  // Puts a word in, at a tick that tick() has returned.
  void put(int64_t tick) {
    if (first_waiting_ == last_waiting_ && give(tick)) return;
    waiting_[last_waiting_++ & mask_] = tick;
  }
  // Gives words away as far as that can be known; returns whether all were.
  bool drain() {
    while (first_waiting_ != last_waiting_) {
      if (!give_waiting()) return false;
    }
    return true;
  }
  // The same at the end of a run, after which the consumer goes on.
  bool finish() {
    const bool all = drain();
    out->flush();
    return all;
  }
  // Appends what the future depends on where all words were given away; next: the tick of the next step.
  void state(std::vector<int64_t>& words, int64_t next, int64_t base) {
    tick(next, kPast);
    words.push_back(next + shift_ - base);
    for (size_t i = first_hold_; i != last_hold_; ++i) {
      words.push_back(holds_[i & mask_].tick - next);
      words.push_back(holds_[i & mask_].shift - shift_);
    }
    words.push_back(kPast);
  }

  Channel* out = nullptr;

 private:
  struct Hold {
    int64_t tick, shift;  // from this tick on, a tick's cycle is it + shift
  };

  bool give(int64_t tick) {
    const int64_t from = tick + latency_ + out_shift_;
    const int64_t given = out->accept(from);
    if (given == kUnknown) return false;
    if (given > from) {
      out_shift_ += given - from;
      holds_[last_hold_++ & mask_] = {tick + held_, out_shift_};
    }
    return true;
  }
  bool give_waiting() {
    if (!give(waiting_[first_waiting_ & mask_])) return false;
    ++first_waiting_;
    return true;
  }

  const int64_t latency_, held_;
  int64_t shift_ = 0, out_shift_ = 0;  // of the last step, and of the last word given away
  size_t first_hold_ = 0, last_hold_ = 0, first_waiting_ = 0, last_waiting_ = 0;
  size_t mask_ = 0;
  std::vector<Hold> holds_;
  std::vector<int64_t> waiting_;
};

}  // namespace flipflow

#endif
