// hls::vector as far as finn-hlslib's headers name it: Vitis HLS has it, the free ap_types headers do not.
#ifndef FLIPFLOW_HLS_VECTOR_H
#define FLIPFLOW_HLS_VECTOR_H

#include <array>
#include <cstddef>

namespace hls {
template <typename T, std::size_t N>
class vector {
  std::array<T, N> items_{};

public:
  using value_type = T;
  static constexpr std::size_t width = N;

  vector() = default;
  vector(T const &value) { items_.fill(value); }

  T &operator[](std::size_t index) { return items_[index]; }
  T const &operator[](std::size_t index) const { return items_[index]; }
  T *begin() { return items_.data(); }
  T *end() { return items_.data() + N; }
  T const *begin() const { return items_.data(); }
  T const *end() const { return items_.data() + N; }
};
} // namespace hls

#endif
