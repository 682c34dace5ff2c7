// Threads that wait for short pieces of work: they spin for some microseconds, then sleep.
//
// A layer takes about 100 us, a wake-up through the kernel several; so between the layers of one inference the threads spin, and
// between inferences they sleep. With one thread nothing is started and the caller does everything. A process that was forked
// has none of its parent's threads: there the pool starts its own at the first call.
#pragma once

#include <sys/types.h>

#include <memory>

namespace flipflow {

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // Calls work(part) for each part in 0..threads()-1, each on a thread of its own (part 0: the caller's); returns when all are
  // done. `work` must not throw. One call at a time. Nothing is allocated, but for a forked process' new threads; where the
  // system refuses those, std::system_error is thrown.
  template <typename Work>
  void run(const Work& work) {
    dispatch([](const void* context, int part) { (*static_cast<const Work*>(context))(part); }, &work);
  }

 private:
  using Task = void (*)(const void* context, int part);
  void dispatch(Task task, const void* context);

  struct Team;
  int threads_;
  pid_t process_;  // whose threads the team has
  std::unique_ptr<Team> team_;  // none for one thread
};

}  // namespace flipflow
