// Memory with sentinels around it, for tests: writes outside are seen by asking, reads outside by AddressSanitizer.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define FLIPFLOW_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FLIPFLOW_ASAN 1
#endif
#endif
#ifdef FLIPFLOW_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace flipflow::test {

constexpr unsigned char kSentinel = 0xa5;

// Bytes at a multiple of 64 with a guard of sentinels on both sides; filled with sentinels to begin with.
class Guarded {
 public:
  explicit Guarded(size_t bytes) : bytes_(bytes), block_(new (std::align_val_t{64}) unsigned char[bytes + 2 * kGuard]) {
    std::memset(block_, kSentinel, bytes + 2 * kGuard);
    poison(true);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() {
    poison(false);
    ::operator delete[](block_, std::align_val_t{64});
  }
  template <typename T>
  T* as() { return reinterpret_cast<T*>(block_ + kGuard); }
  void* data() { return block_ + kGuard; }
  size_t bytes() const { return bytes_; }
  bool same(Guarded& other) { return std::memcmp(data(), other.data(), bytes_) == 0; }
  void copy(Guarded& other) { std::memcpy(data(), other.data(), bytes_); }
  bool intact() {
    poison(false);
    bool good = true;
    for (size_t i = 0; i < kGuard; ++i) good &= block_[i] == kSentinel && block_[kGuard + bytes_ + i] == kSentinel;
    poison(true);
    return good;
  }

 private:
  static constexpr size_t kGuard = 256;
  void poison([[maybe_unused]] bool on) {
#ifdef FLIPFLOW_ASAN
    for (unsigned char* guard : {block_, block_ + kGuard + bytes_}) {
      if (on) __asan_poison_memory_region(guard, kGuard);
      else __asan_unpoison_memory_region(guard, kGuard);
    }
#endif
  }
  size_t bytes_;
  unsigned char* block_;
};

}  // namespace flipflow::test
