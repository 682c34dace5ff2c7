// The prepared map of the AVX2 kernel: activation bits as places of tables, two pixels at a time. See x86_avx2_tile.h.
//
// [rows][columns][words][16] of uint16: for each four fan-in bits a of a pixel 16 * (a + 16 * b), where b are the same bits of the
// pixel one stride to the right, which the next output pixel has in the same place of its window. After the last output pixel of a
// row of odd width comes the first of the next row: for these two, each row of the map ends in a seam of as many more columns as the
// window has, where a is from the row's last window and b from the first window one vertical stride below.
#pragma once

#include "kernels/x86_window.h"

namespace flipflow {
namespace {

FLIPFLOW_INLINE Window pairs_window(const Shape& s) {
  Window w = window_of(s);
  const bool seam = s.out_width % 2 != 0 && s.out_height > 1;
  w.row_bytes = w.pixel_bytes * (w.columns + (seam ? s.kernel_width : 0));
  return w;
}

size_t pairs_scratch(const Shape& s) {
  const Window w = pairs_window(s);
  return static_cast<size_t>(w.row_bytes) * static_cast<size_t>(w.rows);
}

// One row of the padded input. Rows and columns beyond it read as border.
class PaddedRow {
 public:
  PaddedRow(const Shape& s, const void* input, int64_t row) : left_(s.pad_left), width_(0), words_(s.in_words()) {
    const int64_t y = row - s.pad_top;
    if (y >= 0 && y < s.in_height) width_ = s.in_width;
    from_ = static_cast<const uint64_t*>(input) + (width_ == 0 ? 0 : y * s.in_width * words_);
    const int32_t used = s.in_channels % 64;
    full_ = s.border == Border::ones ? ~uint64_t{0} : 0;
    last_ = used == 0 ? full_ : full_ & ((uint64_t{1} << used) - 1);
  }
  FLIPFLOW_INLINE uint64_t word(int64_t column, int32_t k) const {
    const int64_t x = column - left_;
    if (x >= 0 && x < width_) return from_[x * words_ + k];
    return k + 1 < words_ ? full_ : last_;
  }
  FLIPFLOW_INLINE const uint64_t* from() const { return from_; }  // the words of the row itself, width() * words
  FLIPFLOW_INLINE int32_t width() const { return width_; }        // 0 in the padding

 private:
  const uint64_t* from_;
  int32_t left_, width_, words_;
  uint64_t full_, last_;
};

FLIPFLOW_INLINE void store_pair(uint8_t* to, uint64_t a, uint64_t b) {
  const __m128i bytes = _mm_unpacklo_epi8(_mm_cvtsi64_si128(static_cast<long long>(a)), _mm_cvtsi64_si128(static_cast<long long>(b)));
  const __m128i a_places = _mm_set1_epi16(0x00f0), b_places = _mm_set1_epi16(0x0f00);
  const __m128i low = _mm_or_si128(_mm_and_si128(_mm_slli_epi16(bytes, 4), a_places), _mm_and_si128(bytes, b_places));
  const __m128i high = _mm_or_si128(_mm_and_si128(bytes, a_places), _mm_and_si128(_mm_srli_epi16(bytes, 4), b_places));
  _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi16(low, high));
  _mm_store_si128(reinterpret_cast<__m128i*>(to + 16), _mm_unpackhi_epi16(low, high));
}

// Columns begin..end - 1 of one row, paired with those of another that lie `shift` to the right.
uint8_t* store_columns(uint8_t* to, const PaddedRow& a, const PaddedRow& b, int64_t shift, int32_t words, int32_t begin,
                       int32_t end) {
  for (int32_t column = begin; column < end; ++column) {
    for (int32_t k = 0; k < words; ++k, to += kStoredBytes) store_pair(to, a.word(column, k), b.word(column + shift, k));
  }
  return to;
}

void pairs_prepare(const Shape& s, const void* input, void* scratch, int32_t begin, int32_t end) {
  const Window w = pairs_window(s);
  const auto seam = static_cast<int32_t>(w.row_bytes / w.pixel_bytes) - w.columns;
  const int32_t first = least(s.pad_left, w.columns);
  const int64_t apart = int64_t{s.stride_width} * w.words;
  auto* to = static_cast<uint8_t*>(scratch) + begin * w.row_bytes;
  for (int32_t row = begin; row < end; ++row) {
    const PaddedRow here(s, input, row);
    const int32_t inside = least(here.width() - s.stride_width, w.columns - first);  // both pixels of a pair are
    to = store_columns(to, here, here, s.stride_width, w.words, 0, first);
    for (int64_t k = 0; k < int64_t{inside} * w.words; ++k, to += kStoredBytes) {
      store_pair(to, here.from()[k], here.from()[k + apart]);
    }
    to = store_columns(to, here, here, s.stride_width, w.words, first + (inside > 0 ? inside : 0), w.columns);
    if (seam == 0) continue;
    const PaddedRow below(s, input, int64_t{row} + s.stride_height);
    to = store_columns(to, here, below, int64_t{seam} - w.columns, w.words, w.columns - seam, w.columns);
  }
}

}  // namespace
}  // namespace flipflow
