// The quick engine of the cycle model: when every word of a frame moves, frame after frame, without stepping any cycle.
//
// Every kernel takes and gives its words in a fixed order. So the cycle of each of these events follows from a few earlier ones: a
// word is there one cycle after it came into its FIFO, it goes in one cycle after the word a depth before it has left, a unit's
// steps are a cycle apart. Actors (the kernels) work these recurrences out, each as far as the events it needs are known. No event
// of a frame hangs on one of a later frame, so frames are worked out one by one; where that comes to a stop, the pipeline does.
//
// Recurrences know no absolute time. Where all that a frame leaves behind equals, but for a shift, what an earlier one left, all
// further frames repeat those in between with that shift. (With random stalls none of this holds: see cycle_engine.h.)

#ifndef FLIPFLOW_SIM_CYCLE_FRAMES_H_
#define FLIPFLOW_SIM_CYCLE_FRAMES_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "cycle_actors.h"
#include "cycle_channel.h"
#include "cycle_scan.h"

namespace flipflow {

// What is to be solved. interval: a frame's beats are not offered before frame * interval. until_repeat: stop where all repeats
// itself. latency, where it is not 0: stop where frame n is not done in cycle latency + n * interval, counted from the first beat
// taken.
struct Task {
  int64_t frames, in_beats, interval, latency;
  bool until_repeat;
};

// Offers the beats of the frames as soon as they are due and the one before is taken.
class Source final : public Actor {
 public:
  int64_t shape(int64_t words_in) override { return words_ = words_in; }
  void begin() override { left_ = words_; }
  void run() override {
    for (; left_ > 0; --left_) {
      const int64_t cycle = out_->accept(std::max(last + 1, release));
      if (cycle == kUnknown) break;
      last = cycle;
      if (first < 0) first = cycle;
    }
    out_->flush();
  }
  bool done() const override { return left_ == 0; }
  void state(std::vector<int64_t>& words, int64_t base) override { words.push_back(last - base); }
  void input(size_t, Channel*) override {}
  void output(size_t, Channel* channel) override { out_ = channel; }
  int64_t first = -1, last = -1, release = 0;  // cycles of the first and the last beat taken; the frame's

 private:
  Channel* out_ = nullptr;
  int64_t words_ = 0, left_ = 0;
};

// Takes every beat as it comes.
class Sink final : public Actor {
 public:
  int64_t shape(int64_t words_in) override { return words_ = words_in; }
  void begin() override { left_ = words_; }
  void run() override {
    for (; left_ > 0 && in_->ask(); --left_) in_->take(last = in_->there());
  }
  bool done() const override { return left_ == 0; }
  void state(std::vector<int64_t>&, int64_t) override {}
  void input(size_t, Channel* channel) override { in_ = channel; }
  void output(size_t, Channel*) override {}
  int64_t last = -1;

 private:
  Channel* in_ = nullptr;
  int64_t words_ = 0, left_ = 0;
};

class Frames {
 public:
  // Takes the next kernel in topological order; model and p as of make_kernel. Throws only std::bad_alloc, as all that follow.
  void add(int32_t model, const int64_t* p) {
    Node kernel;
    if (model == 0) {
      fifos_.push_back(add_channel(p[0]));
      kernel.fifo = fifos_.back();
    } else {
      kernel.actor = make_actor(model, p);
    }
    kernels_.push_back(std::move(kernel));
  }
  // Words go from output `port` of kernel `source` to input `slot` of kernel `sink`.
  void wire(int64_t source, int64_t port, int64_t sink, int64_t slot) { wires_.push_back({source, port, sink, slot}); }

  // Solves frames until all are, a frame is late, the pipeline has come to a stop, or about `events` more are known.
  int32_t solve(const Task& task, int64_t events) {
    if (actors_.empty()) build(task.in_beats);
    while (static_cast<int64_t>(completion.size()) < task.frames) {
      if (events < 0) return kMore;
      events -= events_a_frame_;
      if (!solve_frame(task)) return kStopped;
      const auto frame = static_cast<int64_t>(completion.size()) - 1;
      if (task.latency > 0 && completion.back() > source_->first + task.latency + frame * task.interval) return kLate;
      if (!repeat(task)) continue;
      if (task.until_repeat) return kDone;
      const auto back = static_cast<size_t>(period_frames);
      while (static_cast<int64_t>(completion.size()) < task.frames) {
        completion.push_back(completion[completion.size() - back] + period_cycles);
      }
      return kDone;
    }
    run_ahead();
    return kDone;
  }

  int64_t first_accept() const { return source_->first; }
  const std::vector<Channel*>& fifos() const { return fifos_; }

  static constexpr int32_t kStopped = 0, kDone = 1, kMore = 2, kLate = 3;
  int64_t period_cycles = 0, period_frames = 0;  // of what repeats itself; 0: nothing yet
  std::vector<int64_t> completion;

 private:
  // One of both: a FIFO is the channel between its producer and its consumer.
  struct Node {
    std::unique_ptr<Actor> actor;
    Channel* fifo = nullptr;
    size_t number = 0;  // of the actor; that of the source is 0
    int64_t words = 0;  // given a frame
  };
  struct Wire {
    int64_t source, port, sink, slot;
  };
  static constexpr size_t kStates = 16;

  static std::unique_ptr<Actor> make_actor(int32_t model, const int64_t* p) {
    switch (model) {
      case 1: return std::make_unique<GearboxActor>(p);
      case 3: return std::make_unique<WindowActor>(p);
      case 5: return std::make_unique<ForkActor>(p);
      case 6: return std::make_unique<PassActor<2>>(p[0], false);
      case 7: return std::make_unique<StepsActor>(StepShape{p[0] + p[1] + p[2], p[0], p[0] + p[1], 0, 1, p[3]}, false);
      default: break;
    }
    if (p[0] == 1) return std::make_unique<PassActor<1>>(p[4], model == 4);
    return std::make_unique<StepsActor>(StepShape{p[0], 0, p[1], p[2], p[3], p[4]}, model == 4);
  }
  Channel* add_channel(int64_t depth) {
    channels_.push_back(std::make_unique<Channel>(depth, &awake_));
    return channels_.back().get();
  }
  size_t append(Actor* actor) {
    actors_.push_back(actor);
    return actors_.size() - 1;
  }

  // Puts actors in order and wires them, with a source before the first kernel and a sink behind the last one.
  void build(int64_t in_beats) {
    own_source_.actor = std::make_unique<Source>();
    source_ = static_cast<Source*>(own_source_.actor.get());
    own_sink_.actor = std::make_unique<Sink>();
    sink_ = static_cast<Sink*>(own_sink_.actor.get());
    append(source_);
    own_source_.words = source_->shape(in_beats);
    connect(own_source_, 0, kernels_.front(), 0);
    for (size_t k = 0; k < kernels_.size(); ++k) {
      for (const Wire& wire : wires_) {
        if (wire.sink != static_cast<int64_t>(k)) continue;
        connect(kernels_[static_cast<size_t>(wire.source)], wire.port, kernels_[k], wire.slot);
      }
    }
    connect(kernels_.back(), 0, own_sink_, 0);
    awake_.resize(actors_.size());
  }
  void connect(Node& from, int64_t port, Node& to, int64_t slot) {
    if (from.fifo != nullptr && to.fifo != nullptr) {
      relays_.emplace_back();
      relays_.back().actor = std::make_unique<Relay>();
      relays_.back().words = from.words;
      connect(from, 0, relays_.back(), 0);
      connect(relays_.back(), 0, to, 0);
      return;
    }
    Channel* channel = from.fifo != nullptr ? from.fifo : to.fifo != nullptr ? to.fifo : add_channel(0);
    if (from.actor != nullptr) {
      channel->producer = from.number;
      from.actor->output(static_cast<size_t>(port), channel);
    }
    if (to.actor != nullptr) {
      if (to.number == 0) to.number = append(to.actor.get());
      channel->consumer = to.number;
      channel->waiter = to.actor.get();
      to.actor->input(static_cast<size_t>(slot), channel);
    }
    to.words = to.actor != nullptr ? to.actor->shape(from.words) : from.words;
    events_a_frame_ += from.words;
  }

  bool solve_frame(const Task& task) {
    source_->release = static_cast<int64_t>(completion.size()) * task.interval;
    run_all();
    for (const Actor* actor : actors_) {
      if (!actor->done()) return false;
    }
    completion.push_back(sink_->last);
    return true;
  }
  // After the last frame, kernels go on as far as they can without beats: they put zeros before the next frame's words.
  void run_ahead() {
    source_->shape(0);
    run_all();
    for (Channel* fifo : fifos_) fifo->finish(completion.back());
  }
  void run_all() {
    for (size_t i = 0; i < actors_.size(); ++i) {
      actors_[i]->begin();
      awake_.wake(i);
    }
    for (int64_t i = 0;;) {
      const int64_t next = awake_.take(static_cast<size_t>(i));
      if (next < 0 && i == 0) break;
      i = next < 0 ? 0 : next + 1;
      if (next >= 0) actors_[static_cast<size_t>(next)]->run();
    }
  }

  // Whether what the last frame leaves behind is, but for a shift, what an earlier one left.
  bool repeat(const Task& task) {
    const int64_t base = completion.back();
    std::vector<int64_t> now;
    now.reserve(states_.empty() ? 0 : states_.back().size());
    if (task.interval > 0) now.push_back(base - static_cast<int64_t>(completion.size()) * task.interval);
    for (Actor* actor : actors_) actor->state(now, base);
    for (const auto& channel : channels_) channel->state(now, base);
    for (size_t i = states_.size(); i-- > 0;) {
      if (states_[i] != now) continue;
      period_frames = static_cast<int64_t>(states_.size() - i);
      period_cycles = base - completion[completion.size() - 1 - static_cast<size_t>(period_frames)];
      return true;
    }
    states_.push_back(std::move(now));
    if (states_.size() > kStates) states_.pop_front();
    return false;
  }

  std::vector<Node> kernels_;
  std::deque<Node> relays_;
  std::vector<Wire> wires_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<Channel*> fifos_;  // in the order of the kernels
  std::vector<Actor*> actors_;   // in topological order
  Node own_source_, own_sink_;
  Source* source_ = nullptr;
  Sink* sink_ = nullptr;
  Worklist awake_;
  int64_t events_a_frame_ = 0;
  std::deque<std::vector<int64_t>> states_;
};

}  // namespace flipflow

#endif
