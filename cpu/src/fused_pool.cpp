#include <algorithm>
#include <cstring>

#include "conv.h"
#include "kernels/pool_rows.h"
#include "plan_check.h"

namespace flipflow {
namespace {

constexpr int32_t kMaxPoolRows = kMaxFusedPool;
constexpr size_t kBufferBytes = 96 * 1024;  // rows of the convolution at a time: they stay in the second-level cache

size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

// The rows of the convolution that pooled row p takes.
Band rows_under(const Window& w, int32_t height, int32_t p) {
  const int32_t first = p * w.stride_height - w.pad_top;
  return {std::max(first, 0), std::min(first + w.kernel_height, height)};
}

// The next pooled rows that one buffer of convolution rows serves.
struct Step {
  Band pooled;  // pooled rows
  Band rows;    // rows of the convolution under them
  Band fresh;   // those of them that the step before has not left behind
};

Step next_step(const Window& w, int32_t height, int32_t buffer_rows, int32_t p, int32_t p_end, int32_t done) {
  const int32_t first = rows_under(w, height, p).begin;
  int32_t last = p + 1;
  while (last < p_end && rows_under(w, height, last).end - first <= buffer_rows) ++last;
  const int32_t rows_end = rows_under(w, height, last - 1).end;
  return {{p, last}, {first, rows_end}, {std::max(first, done), rows_end}};
}

// Calls body(step) for all steps of pooled rows [band.begin, band.end).
template <typename Body>
void for_steps(const Window& w, int32_t height, int32_t buffer_rows, Band band, const Body& body) {
  int32_t done = 0;
  for (int32_t p = band.begin; p < band.end;) {
    const Step step = next_step(w, height, buffer_rows, p, band.end, done);
    body(step);
    done = step.rows.end;
    p = step.pooled.end;
  }
}

// Rows [begin, end) of a convolution as a convolution of its own, on input rows from `first_row` on.
Shape slice(const Shape& s, Band rows, int32_t* first_row) {
  const int32_t top = rows.begin * s.stride_height - s.pad_top, bottom = (rows.end - 1) * s.stride_height - s.pad_top + s.kernel_height;
  Shape part = s;
  *first_row = std::max(top, 0);
  part.pad_top = *first_row - top;
  part.in_height = std::min(bottom, s.in_height) - *first_row;
  part.out_height = rows.end - rows.begin;
  return part;
}

// The pool of one row, compiled once for any processor and once for AVX2, which has what 8-bit maxima want.
using PoolRowFunction = void (*)(Number, const PoolRow&, const void* const*, int32_t, void*, void*);

void pool_row_plain(Number number, const PoolRow& row, const void* const* rows, int32_t count, void* line, void* to) {
  pool_rows_max(number, row, rows, count, nullptr, line, to);
}

#if defined(__x86_64__)
__attribute__((target("avx2"), flatten)) void pool_row_avx2(Number number, const PoolRow& row, const void* const* rows, int32_t count,
                                                            void* line, void* to) {
  pool_rows_max(number, row, rows, count, nullptr, line, to);
}
#endif

PoolRowFunction fastest_pool_row() {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return pool_row_avx2;
#endif
  return pool_row_plain;
}

size_t row_bytes(const Shape& s, Number fixed) { return static_cast<size_t>(s.out_width) * s.out_channels * number_bytes(fixed); }

}  // namespace

FusedPool make_fused_pool(const PlanOp& op, const Shape& s, const ConvKernel& kernel, const PlanTensor& pooled, Number fixed, int threads) {
  FusedPool pool;
  pool.window = {op.pool_kernel_height, op.pool_kernel_width, op.pool_stride_height, op.pool_stride_width,
                 op.pool_pad_top,       op.pool_pad_left,     pooled.height,         pooled.width};
  const size_t row = row_bytes(s, fixed);
  const auto fitting = static_cast<int32_t>(std::min<size_t>(kBufferBytes / row, 65536));
  pool.buffer_rows = std::min(std::max(fitting, op.pool_kernel_height + op.pool_stride_height), s.out_height);
  pool.carried_rows = std::max(0, std::min(op.pool_kernel_height - op.pool_stride_height, s.out_height));
  int32_t most_pooled = 1;
  size_t scratch = 0;
  for (int part = 0; part < threads; ++part) {
    for_steps(pool.window, s.out_height, pool.buffer_rows, band_of(pooled.height, part, threads), [&](const Step& step) {
      most_pooled = std::max(most_pooled, step.pooled.end - step.pooled.begin);
      if (step.fresh.begin >= step.fresh.end) return;
      int32_t first_row = 0;
      scratch = std::max(scratch, kernel.scratch_bytes(slice(s, step.fresh, &first_row)));
    });
  }
  pool.scratch = round_up(scratch);
  pool.buffer = round_up(pool.carried_rows * row) + round_up(pool.buffer_rows * row);
  pool.line = round_up(row);
  pool.pooled = round_up(static_cast<size_t>(most_pooled) * pooled.width * pooled.channels * number_bytes(fixed));
  return pool;
}

namespace {

// One thread's part of a convolution with its pool.
class Worker {
 public:
  Worker(const Conv& conv, const void* input, const Outputs& out, uint8_t* memory)
      : conv_(conv),
        s_(conv.shape),
        pool_(conv.pool),
        fixed_(conv.epilogue.fixed),
        input_(static_cast<const uint8_t*>(input)),
        out_(out),
        scratch_(memory),
        row_(row_bytes(conv.shape, fixed_)),
        in_row_(static_cast<size_t>(s_.in_width) * s_.in_channels * number_bytes(s_.input)),
        // Fresh rows begin at an aligned address, as kernels want; the rows carried over end right before it.
        fresh_(memory + pool_.scratch + round_up(pool_.carried_rows * row_)),
        line_(memory + pool_.scratch + pool_.buffer),
        rows_end_(fresh_) {}

  void run(const Step& step) {
    const int32_t carried = step.fresh.begin - step.rows.begin;
    const uint8_t* const first = fresh_ - carried * row_;
    if (carried > 0) std::memmove(fresh_ - carried * row_, rows_end_ - carried * row_, carried * row_);
    if (step.fresh.begin < step.fresh.end) convolve(step.fresh);
    rows_end_ = fresh_ + (step.fresh.end - step.fresh.begin) * row_;
    const size_t out_row = static_cast<size_t>(pool_.window.out_width) * s_.out_channels * number_bytes(fixed_);
    uint8_t* const pooled = out_.fixed != nullptr ? static_cast<uint8_t*>(out_.fixed) + step.pooled.begin * out_row : line_ + pool_.line;
    for (int32_t p = step.pooled.begin; p < step.pooled.end; ++p) {
      const Band rows = rows_under(pool_.window, s_.out_height, p);
      pool_row(first + (rows.begin - step.rows.begin) * row_, rows.end - rows.begin, pooled + (p - step.pooled.begin) * out_row);
    }
    if (out_.bits == nullptr) return;
    const int32_t count = step.pooled.end - step.pooled.begin;
    const View values{pooled, fixed_, count, pool_.window.out_width, s_.out_channels};
    threshold_bits(values, pool_.fires, out_.bits + static_cast<size_t>(step.pooled.begin) * pool_.window.out_width * s_.out_words(), 0, count);
  }

 private:
  void convolve(Band rows) {
    int32_t first_row = 0;
    const Shape part = slice(s_, rows, &first_row);
    const Outputs to{nullptr, nullptr, nullptr, fresh_};
    conv_.kernel->prepare(part, input_ + first_row * in_row_, scratch_, 0, conv_.kernel->padded_rows(part));
    conv_.kernel->run(part, conv_.weights, scratch_, conv_.epilogue, to, Share{0, part.out_height, 0, part.out_channels});
  }

  // `count` rows of the convolution to one pooled row.
  void pool_row(const uint8_t* rows, int32_t count, uint8_t* to) {
    const PoolRow shape{s_.out_width, s_.out_channels, pool_.window.kernel_width, pool_.window.stride_width, pool_.window.pad_left,
                        pool_.window.out_width};
    const void* from[kMaxPoolRows];
    for (int32_t i = 0; i < count; ++i) from[i] = rows + i * row_;
    fastest_pool_row()(fixed_, shape, from, count, line_, to);
  }

  const Conv& conv_;
  const Shape& s_;
  const FusedPool& pool_;
  const Number fixed_;
  const uint8_t* const input_;
  const Outputs& out_;
  uint8_t* const scratch_;
  const size_t row_, in_row_;
  uint8_t* const fresh_;
  uint8_t* const line_;
  const uint8_t* rows_end_;  // of the step before
};

}  // namespace

void run_fused_pool(const Conv& conv, const void* input, const Outputs& out, void* scratch, Pool& threads) {
  const FusedPool& pool = conv.pool;
  threads.run([&](int part) {
    Worker worker(conv, input, out, static_cast<uint8_t*>(scratch) + pool.thread_bytes() * part);
    const Band band = band_of(pool.window.out_height, part, threads.threads());
    for_steps(pool.window, conv.shape.out_height, pool.buffer_rows, band, [&](const Step& step) { worker.run(step); });
  });
}

}  // namespace flipflow
