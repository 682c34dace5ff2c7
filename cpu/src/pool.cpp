#include "pool.h"

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

Pool::Pool(int threads) {
  workers_.reserve(threads > 1 ? threads - 1 : 0);
  try {
    for (int part = 1; part < threads; ++part) workers_.emplace_back([this, part] { serve(part); });
  } catch (...) {  // the system refuses more threads: end those that run, then report
    shut_down();
    throw;
  }
}

Pool::~Pool() { shut_down(); }

void Pool::shut_down() {
  stop_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++epoch_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Pool::dispatch(Task task, const void* context) {
  if (!workers_.empty()) {
    task_ = task;
    context_ = context;
    pending_ = static_cast<int>(workers_.size());
    ++epoch_;
    if (sleepers_ > 0) {  // either we see the sleeper here, or it sees the new epoch before it sleeps
      { std::lock_guard<std::mutex> lock(mutex_); }
      wake_.notify_all();
    }
  }
  task(context, 0);
  for (int spins = 0; pending_ > 0; ++spins) {
    if (spins < kSpins) {
      relax();
    } else {
      std::this_thread::yield();  // fewer cores than threads
    }
  }
}

void Pool::serve(int part) {
  unsigned seen = 0;
  for (;;) {
    await_change(seen);
    if (stop_) return;
    ++seen;  // dispatch waits for all, so no epoch is ever missed
    task_(context_, part);
    --pending_;
  }
}

void Pool::await_change(unsigned seen) {
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
