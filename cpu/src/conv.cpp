#include "conv.h"

#include <algorithm>

#include "layouts.h"

namespace flipflow {
namespace {

constexpr size_t kPrepareAlone = 64 * 1024;  // bytes that one thread prepares faster than it wakes others

// The share of the whole that the busiest thread has when `count` units are dealt out, 1 / threads at best.
double busiest(int32_t count, int threads) { return static_cast<double>((count + threads - 1) / threads) / count; }

// Rows unless channel blocks balance better; where both balance, rows of large maps and channels of small ones, whose weights are
// what takes the bandwidth.
bool share_rows(const Shape& s, int threads) {
  const double rows = busiest(s.out_height, threads), blocks = busiest(s.out_words(), threads);
  if (rows > blocks * 1.05) return false;
  return blocks > rows * 1.05 || s.out_height >= 28;
}

}  // namespace

Conv make_conv(const Plan& plan, const PlanOp& op, const Kernels& kernels, int threads, Store& constants, size_t& repacked_bytes) {
  Conv conv{};
  conv.shape = plan.shape(op);
  const bool binary = op.kind == OpKind::binary_conv;
  conv.kernel = binary ? &kernels.binary : &kernels.integer;
  conv.fallback = !conv.kernel->accepts(conv.shape);
  if (conv.fallback) conv.kernel = binary ? &scalar_kernels.binary : &scalar_kernels.integer;
  conv.repacked = conv.kernel->layout != op.layout;
  conv.weights = plan.data(op.weights);
  const void* rows = op.layout == Layout::rows ? conv.weights : nullptr;
  std::vector<uint64_t> unpacked;  // of words, for the alignment
  if (rows == nullptr && (conv.repacked || borders_need_weights(op))) {
    unpacked.resize(rows_codec.bytes(conv.shape) / sizeof(uint64_t) + 1);
    codec_of(op.layout)->unpack(conv.shape, conv.weights, unpacked.data());
    rows = unpacked.data();
  }
  if (conv.repacked) {
    const LayoutCodec& codec = *codec_of(conv.kernel->layout);
    void* packed = constants.take(codec.bytes(conv.shape));
    codec.pack(conv.shape, rows, packed);
    conv.weights = packed;
    repacked_bytes += codec.bytes(conv.shape);
  }
  conv.epilogue = make_epilogue(plan, op, conv.shape, rows, constants);
  conv.by_rows = share_rows(conv.shape, threads);
  conv.pools = op.pool_kernel_height != 0;
  if (conv.pools) {
    const PlanTensor& pooled = plan.tensor(op.out[0] != kNone ? op.out[0] : op.out[1]);
    conv.pool = make_fused_pool(op, conv.shape, *conv.kernel, pooled, conv.epilogue.fixed, threads);
    if (op.out[0] != kNone) conv.pool.pooled = 0;
    if (op.out[1] != kNone) conv.pool.fires = make_fires(plan, op, conv.shape.out_channels, conv.epilogue.fixed, constants);
  }
  return conv;
}

size_t conv_scratch_bytes(const Conv& conv, int threads) {
  return conv.pools ? conv.pool.thread_bytes() * threads : conv.kernel->scratch_bytes(conv.shape);
}

void run_conv(const Conv& conv, const void* input, const Outputs& out, void* scratch, Pool& pool) {
  if (conv.pools) return run_fused_pool(conv, input, out, scratch, pool);
  const Shape& s = conv.shape;
  const ConvKernel& kernel = *conv.kernel;
  const int32_t rows = kernel.padded_rows(s), threads = pool.threads();
  if (threads == 1) {
    kernel.prepare(s, input, scratch, 0, rows);
    kernel.run(s, conv.weights, scratch, conv.epilogue, out, Share{0, s.out_height, 0, s.out_channels});
    return;
  }
  if (kernel.scratch_bytes(s) <= kPrepareAlone) {
    kernel.prepare(s, input, scratch, 0, rows);
  } else {
    pool.run([&](int part) {
      const Band band = band_of(rows, part, threads);
      kernel.prepare(s, input, scratch, band.begin, band.end);
    });
  }
  pool.run([&](int part) {
    Share share{0, s.out_height, 0, s.out_channels};
    if (conv.by_rows) {
      const Band band = band_of(s.out_height, part, threads);
      share.row_begin = band.begin, share.row_end = band.end;
    } else {
      const Band band = band_of(s.out_words(), part, threads);
      share.channel_begin = std::min(band.begin * 64, s.out_channels);
      share.channel_end = std::min(band.end * 64, s.out_channels);
    }
    if (share.row_begin == share.row_end || share.channel_begin == share.channel_end) return;
    kernel.run(s, conv.weights, scratch, conv.epilogue, out, share);
  });
}

}  // namespace flipflow
