// Memory of an engine: blocks at multiples of 64, zeroed, all taken while it is built and freed with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace flipflow {

class Store {
 public:
  // Throws std::bad_alloc. A block of no bytes is null.
  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    const size_t rounded = (bytes + 63) / 64 * 64;
    Block block(std::aligned_alloc(64, rounded), &std::free);
    if (block == nullptr) throw std::bad_alloc();
    std::memset(block.get(), 0, rounded);
    blocks_.push_back(std::move(block));
    bytes_ += rounded;
    return blocks_.back().get();
  }
  template <typename T>
  T* array(size_t count) {
    return static_cast<T*>(take(count * sizeof(T)));
  }
  size_t bytes() const { return bytes_; }

 private:
  using Block = std::unique_ptr<void, void (*)(void*)>;
  std::vector<Block> blocks_;
  size_t bytes_ = 0;
};

}  // namespace flipflow
