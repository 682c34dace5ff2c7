// Threads that wait for short pieces of work: they spin for some microseconds, then sleep.
//
// A layer takes about 100 us, a wake-up through the kernel several; so between the layers of one inference the threads spin, and
// between inferences they sleep. With one thread nothing is started and the caller does everything.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace flipflow {

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(part) for each part in 0..threads()-1, each on a thread of its own (part 0: the caller's); returns when all are
  // done. `work` must not throw. One call at a time. Nothing is allocated.
  template <typename Work>
  void run(const Work& work) {
    dispatch([](const void* context, int part) { (*static_cast<const Work*>(context))(part); }, &work);
  }

 private:
  using Task = void (*)(const void* context, int part);
  void dispatch(Task task, const void* context);
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

}  // namespace flipflow
