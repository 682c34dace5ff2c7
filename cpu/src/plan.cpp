#include "plan.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "crc32.h"
#include "layouts.h"
#include "status.h"

namespace flipflow {
namespace {

constexpr uint32_t kMaxOps = 4096, kMaxTensors = 8192, kMaxBlobs = 65536;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "plans are read in place and are little-endian");

// A file descriptor that closes itself.
struct File {
  explicit File(const std::string& path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor;
};

uint32_t header_checksum(const PlanHeader& header) {
  PlanHeader blank = header;
  blank.body_checksum = blank.header_checksum = 0;
  return crc32(&blank, sizeof blank);
}

}  // namespace

std::shared_ptr<const Plan> Plan::open(const std::string& path) {
  std::shared_ptr<Plan> plan(new Plan);
  plan->map(path);
  plan->check();
  return plan;
}

std::shared_ptr<const Plan> Plan::from_memory(const void* data, size_t bytes) {
  Store memory;
  if (reinterpret_cast<uintptr_t>(data) % 64 != 0 && bytes > 0) data = std::memcpy(memory.take(bytes), data, bytes);
  return from_owned(std::move(memory), data, bytes);
}

std::shared_ptr<const Plan> Plan::from_owned(Store memory, const void* data, size_t bytes) {
  std::shared_ptr<Plan> plan(new Plan);
  plan->memory_ = std::move(memory);
  plan->data_ = static_cast<const uint8_t*>(data);
  plan->bytes_ = bytes;
  plan->check();
  return plan;
}

Plan::~Plan() {
  if (mapping_ != nullptr) ::munmap(mapping_, bytes_);
}

void Plan::map(const std::string& path) {
  const File file(path);
  struct stat status;
  if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0) {
    fail(Code::io, "cannot open the plan %s: %s", path.c_str(), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) fail(Code::io, "%s is not a regular file", path.c_str());
  if (status.st_size == 0) fail(Code::malformed, "the plan %s is empty", path.c_str());
  bytes_ = static_cast<size_t>(status.st_size);
  void* mapping = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file.descriptor, 0);
  if (mapping == MAP_FAILED) fail(Code::io, "cannot map the plan %s: %s", path.c_str(), std::strerror(errno));
  mapping_ = mapping;
  data_ = static_cast<const uint8_t*>(mapping);
}

void Plan::check() {
  check_header();
  check_tables();
  check_tensors();
  check_ops();
}

void Plan::check_header() const {
  if (bytes_ < sizeof(PlanHeader)) {
    fail(Code::malformed, "not a plan: %zu bytes are fewer than a header of %zu", bytes_, sizeof(PlanHeader));
  }
  const PlanHeader& h = header();
  if (std::memcmp(h.magic, kPlanMagic, sizeof kPlanMagic) != 0) fail(Code::malformed, "not a plan: it does not begin with FLIPPLAN");
  if (h.version != kPlanVersion) {
    fail(Code::version, "the plan has version %u of the format; this build reads version %u", h.version, kPlanVersion);
  }
  if (h.header_bytes != sizeof(PlanHeader)) fail(Code::malformed, "header_bytes is %u, not %zu", h.header_bytes, sizeof(PlanHeader));
  if (header_checksum(h) != h.header_checksum) fail(Code::checksum, "the header's checksum does not fit: the plan is damaged");
  if (h.file_bytes != bytes_) {
    fail(Code::malformed, "the plan says it has %llu bytes, but there are %zu", static_cast<unsigned long long>(h.file_bytes), bytes_);
  }
  if (crc32(data_ + sizeof h, bytes_ - sizeof h) != h.body_checksum) {
    fail(Code::checksum, "the body's checksum does not fit: the plan is damaged");
  }
  if (!(h.logit_scale > 0 && h.logit_scale < 1e300)) fail(Code::malformed, "logit_scale is not a positive finite number");
}

void Plan::check_tables() {
  const PlanHeader& h = header();
  if (h.tensors == 0 || h.tensors > kMaxTensors) fail(Code::malformed, "the plan has %u tensors; 1 to %u are allowed", h.tensors, kMaxTensors);
  if (h.ops == 0 || h.ops > kMaxOps) fail(Code::malformed, "the plan has %u operators; 1 to %u are allowed", h.ops, kMaxOps);
  if (h.blobs > kMaxBlobs) fail(Code::malformed, "the plan has %u blobs; at most %u are allowed", h.blobs, kMaxBlobs);
  const size_t end = sizeof h + h.tensors * sizeof(PlanTensor) + h.ops * sizeof(PlanOp) + h.blobs * sizeof(PlanBlob);
  if (end > bytes_) fail(Code::malformed, "the tables need %zu bytes, but the plan has %zu", end, bytes_);
  const uint8_t* table = data_ + sizeof h;
  tensors_ = reinterpret_cast<const PlanTensor*>(table);
  ops_ = reinterpret_cast<const PlanOp*>(table + h.tensors * sizeof(PlanTensor));
  blobs_.resize(h.blobs);
  if (h.blobs > 0) std::memcpy(blobs_.data(), data_ + end - h.blobs * sizeof(PlanBlob), h.blobs * sizeof(PlanBlob));
  for (uint32_t i = 0; i < h.blobs; ++i) {
    const PlanBlob& b = blobs_[i];
    if (b.offset % 8 != 0 || b.offset < end || b.offset > bytes_ || b.bytes > bytes_ - b.offset) {
      fail(Code::malformed, "blob %u (%u bytes at %u) does not lie in the plan at a multiple of 8", i, b.bytes, b.offset);
    }
    if (b.element > Element::packed) fail(Code::malformed, "blob %u has the unknown element type %u", i, static_cast<uint32_t>(b.element));
    if (b.element == Element::packed && (b.width < 1 || b.is_signed > 1 || b.width + b.shift > 31 + b.is_signed)) {
      fail(Code::malformed, "blob %u has numbers of %u bits times 2^%u, which 32 bits do not hold", i, b.width, b.shift);
    }
  }
}

// Number `m` of a blob of packed numbers.
static int32_t packed_value(const PlanBlob& b, const uint8_t* bytes, int32_t m) {
  const size_t bit = static_cast<size_t>(m) * b.width, first = bit / 8;
  uint64_t word = 0;
  std::memcpy(&word, bytes + first, std::min<size_t>(sizeof word, b.bytes - first));
  word = word >> (bit % 8) << (64 - b.width);
  const int64_t number = b.is_signed != 0 ? static_cast<int64_t>(word) >> (64 - b.width) : static_cast<int64_t>(word >> (64 - b.width));
  return static_cast<int32_t>(number * (int64_t{1} << b.shift));
}

int32_t Plan::value(int32_t index, int32_t m) const {
  const PlanBlob& b = blobs_[index];
  const uint8_t* numbers = data_ + b.offset;
  switch (b.element) {
    case Element::i8: return reinterpret_cast<const int8_t*>(numbers)[b.bytes == 1 ? 0 : m];
    case Element::u8: return numbers[b.bytes == 1 ? 0 : m];
    case Element::i16: return reinterpret_cast<const int16_t*>(numbers)[b.bytes == 2 ? 0 : m];
    case Element::packed: return packed_value(b, numbers, m);
    default: return reinterpret_cast<const int32_t*>(numbers)[b.bytes == 4 ? 0 : m];
  }
}

std::string Plan::name(const PlanOp& op) const {
  if (op.name < 0 || op.name >= static_cast<int32_t>(header().blobs)) return "?";
  std::string text(static_cast<const char*>(data(op.name)), std::min<uint32_t>(blob(op.name).bytes, 256));
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';  // before the name has been checked
  }
  return text;
}

Shape Plan::shape(const PlanOp& op) const {
  const PlanTensor& in = tensors_[op.in[0]];
  Shape s{};
  s.in_height = in.height, s.in_width = in.width, s.in_channels = in.channels;
  s.kernel_height = op.kernel_height, s.kernel_width = op.kernel_width;
  s.stride_height = op.stride_height, s.stride_width = op.stride_width;
  s.pad_top = op.pad_top, s.pad_left = op.pad_left;
  s.out_height = (in.height + op.pad_top + op.pad_bottom - op.kernel_height) / op.stride_height + 1;
  s.out_width = (in.width + op.pad_left + op.pad_right - op.kernel_width) / op.stride_width + 1;
  s.out_channels = tensors_[op.out[0] != kNone ? op.out[0] : op.out[1]].channels;
  s.border = op.pad_kind == 3 ? Border::ones : Border::zeros;
  s.input = in.number;
  s.weights = op.kind == OpKind::binary_conv ? Number::bits : op.weight_number;
  return s;
}

size_t number_bytes(Number number) {
  switch (number) {
    case Number::bits: return 8;
    case Number::u8:
    case Number::i8: return 1;
    case Number::i16: return 2;
    default: return 4;
  }
}

size_t tensor_bytes(const PlanTensor& t) {
  const size_t depth = t.number == Number::bits ? (static_cast<size_t>(t.channels) + 63) / 64 : static_cast<size_t>(t.channels);
  return static_cast<size_t>(t.height) * t.width * depth * number_bytes(t.number);
}

Range number_range(Number number) {
  switch (number) {
    case Number::bits: return {0, 1};
    case Number::u8: return {0, 255};
    case Number::i8: return {-128, 127};
    case Number::i16: return {-32768, 32767};
    default: return {INT32_MIN, INT32_MAX};
  }
}

const char* number_name(Number number) {
  constexpr const char* kNames[] = {"bits", "u8", "i8", "i16", "i32"};
  return static_cast<uint32_t>(number) < 5 ? kNames[static_cast<uint32_t>(number)] : "?";
}

const char* kind_name(OpKind kind) {
  constexpr const char* kNames[] = {"binary_conv", "integer_conv", "threshold_bits", "threshold_ints",
                                    "add",         "bit_pool",     "int_pool",       "sum_pool",
                                    "fixed_ints"};
  return static_cast<uint32_t>(kind) < 9 ? kNames[static_cast<uint32_t>(kind)] : "?";
}

}  // namespace flipflow
