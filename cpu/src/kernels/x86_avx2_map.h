// The prepared map of the AVX2 kernel: activation bits as places of tables, two pixels at a time. See x86_avx2_tile.h.
//
// [rows][columns][words][16] of uint16: for each four fan-in bits a of a pixel 16 * (a + 16 * b), where b are the same bits of the
// pixel one stride to the right, which the next output pixel has in the same place of its window. After the last output pixel of a
// row of odd width comes the first of the next row: for these two, each row of the map ends in a seam of as many more columns as
// the window has, where a is from the row's last window and b from the first window one vertical stride below.
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

// Places from the bytes of two pixels, of a in the even and of b in the odd ones: those of the low and of the high four bits.
FLIPFLOW_INLINE void places(__m256i bytes, __m256i& low, __m256i& high) {
  const __m256i of_a = _mm256_set1_epi16(0x00f0), of_b = _mm256_set1_epi16(0x0f00);
  low = _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi16(bytes, 4), of_a), _mm256_and_si256(bytes, of_b));
  high = _mm256_or_si256(_mm256_and_si256(bytes, of_a), _mm256_and_si256(_mm256_srli_epi16(bytes, 4), of_b));
}

FLIPFLOW_INLINE __m128i word128(uint64_t word) { return _mm_cvtsi64_si128(static_cast<long long>(word)); }

FLIPFLOW_INLINE void store_pair(uint8_t* to, uint64_t a, uint64_t b) {
  __m256i low, high;
  places(_mm256_castsi128_si256(_mm_unpacklo_epi8(word128(a), word128(b))), low, high);
  const __m256i first = _mm256_unpacklo_epi16(low, high), second = _mm256_unpackhi_epi16(low, high);
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm256_permute2x128_si256(first, second, 0x20));
}

// `words` words of a and b each.
FLIPFLOW_INLINE uint8_t* store_pairs(uint8_t* to, const uint64_t* a, const uint64_t* b, int64_t words) {
  int64_t k = 0;
  for (; k + 2 <= words; k += 2, to += 2 * kStoredBytes) {
    const __m128i of_a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + k));
    const __m128i of_b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + k));
    __m256i low, high;
    places(_mm256_set_m128i(_mm_unpackhi_epi8(of_a, of_b), _mm_unpacklo_epi8(of_a, of_b)), low, high);
    const __m256i first = _mm256_unpacklo_epi16(low, high), second = _mm256_unpackhi_epi16(low, high);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm256_permute2x128_si256(first, second, 0x20));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + kStoredBytes), _mm256_permute2x128_si256(first, second, 0x31));
  }
  for (; k < words; ++k, to += kStoredBytes) store_pair(to, a[k], b[k]);
  return to;
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
    if (inside > 0) to = store_pairs(to, here.from(), here.from() + apart, int64_t{inside} * w.words);
    to = store_columns(to, here, here, s.stride_width, w.words, first + (inside > 0 ? inside : 0), w.columns);
    if (seam == 0) continue;
    const PaddedRow below(s, input, int64_t{row} + s.stride_height);
    to = store_columns(to, here, below, int64_t{seam} - w.columns, w.words, w.columns - seam, w.columns);
  }
}

}  // namespace
}  // namespace flipflow
