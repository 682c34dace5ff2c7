#include "pool.h"

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace flipflow {
namespace {

constexpr int kSpins = 4000;  // of `relax`: some tens of microseconds on current cores

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

}  // namespace

// The threads besides the caller's.
struct Pool::Team {
  explicit Team(int workers);
  ~Team() { shut_down(); }
  void start(Task task, const void* context);
  void wait() const;
  void serve(int part);
  void await_change(unsigned seen);
  void shut_down();

  std::vector<std::thread> workers_;
  Task task_ = nullptr;
  const void* context_ = nullptr;
  std::atomic<unsigned> epoch_{0};  // counts dispatches; its store publishes task_ and context_
  std::atomic<int> pending_{0};     // workers that have not finished the current one
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

Pool::Pool(int threads)
    : threads_(threads), process_(getpid()), team_(threads > 1 ? std::make_unique<Team>(threads - 1) : nullptr) {}

Pool::~Pool() {
  // A forked process cannot join its parent's threads, nor destroy what they may hold locked.
  if (process_ != getpid()) static_cast<void>(team_.release());
}

void Pool::dispatch(Task task, const void* context) {
  if (team_ == nullptr) return task(context, 0);
  if (process_ != getpid()) {
    auto own = std::make_unique<Team>(threads_ - 1);
    static_cast<void>(team_.release());
    team_ = std::move(own);
    process_ = getpid();
  }
  team_->start(task, context);
  task(context, 0);
  team_->wait();
}

Pool::Team::Team(int workers) {
  workers_.reserve(static_cast<size_t>(workers));
  try {
    for (int part = 1; part <= workers; ++part) workers_.emplace_back([this, part] { serve(part); });
  } catch (...) {  // the system refuses more threads: end those that run, then report
    shut_down();
    throw;
  }
}

void Pool::Team::shut_down() {
  stop_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++epoch_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::Team::start(Task task, const void* context) {
  task_ = task;
  context_ = context;
  pending_ = static_cast<int>(workers_.size());
  ++epoch_;
  if (sleepers_ > 0) {  // either we see the sleeper here, or it sees the new epoch before it sleeps
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
}

void Pool::Team::wait() const {
  for (int spins = 0; pending_ > 0; ++spins) {
    if (spins < kSpins) {
      relax();
    } else {
      std::this_thread::yield();  // fewer cores than threads
    }
  }
}

void Pool::Team::serve(int part) {
  unsigned seen = 0;
  for (;;) {
    await_change(seen);
    if (stop_) return;
    ++seen;  // wait() is for all, so no epoch is ever missed
    task_(context_, part);
    --pending_;
  }
}

void Pool::Team::await_change(unsigned seen) {
  for (int spins = 0; spins < kSpins; ++spins) {
    if (epoch_ != seen) return;
    relax();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  ++sleepers_;
  wake_.wait(lock, [&] { return epoch_ != seen; });
  --sleepers_;
}

}  // namespace flipflow
