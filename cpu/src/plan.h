// A plan in memory, checked: whoever holds a Plan may follow every index, offset and size in it.
//
// Opening maps the file (it must not change while it is open) and checks, before anything is used: magic, version, sizes, both
// checksums, alignment, every index, every tensor's place in the arena, that no tensor is overwritten while it is still needed,
// that each operator reads only what was written before, the shapes, blob sizes, value ranges, and that no sum can overflow.
// Errors are thrown as Error and name the operator or tensor and the value at fault.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "plan_format.h"
#include "store.h"

namespace flipflow {

// What a tensor can hold, by the operator that writes it.
struct Range {
  int64_t low, high;
};

// What a checked tensor needs to be run: when it is written and last read (operators; the input is written at -1).
struct Lifetime {
  int32_t written, last_read;
};

class Plan {
 public:
  static std::shared_ptr<const Plan> open(const std::string& path);
  // Borrows `data`, which must outlive the plan; copies it where it is not at a multiple of 64.
  static std::shared_ptr<const Plan> from_memory(const void* data, size_t bytes);
  // Keeps `memory`, in which `data` lies at a multiple of 64.
  static std::shared_ptr<const Plan> from_owned(Store memory, const void* data, size_t bytes);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  const PlanHeader& header() const { return *reinterpret_cast<const PlanHeader*>(data_); }
  const PlanTensor& tensor(int32_t index) const { return tensors_[index]; }
  const PlanOp& op(int32_t index) const { return ops_[index]; }
  int32_t tensors() const { return static_cast<int32_t>(header().tensors); }
  int32_t ops() const { return static_cast<int32_t>(header().ops); }
  const PlanTensor& input() const { return tensor(header().input); }
  const PlanTensor& output() const { return tensor(header().output); }
  size_t bytes() const { return bytes_; }
  size_t arena_bytes() const { return arena_bytes_; }  // what the tensors really take, at most the header's value

  const PlanBlob& blob(int32_t index) const { return blobs_[index]; }
  const void* data(int32_t blob) const { return data_ + blobs_[blob].offset; }
  // Number of channel `m` in a blob of numbers, which holds one for each or a single one for all.
  int32_t value(int32_t blob, int32_t m) const;
  std::string name(const PlanOp& op) const;
  // The convolution of an operator, before its pooling.
  Shape shape(const PlanOp& op) const;
  // Values the tensor can hold; not wider than its number type.
  Range range(int32_t tensor) const { return ranges_[tensor]; }

 private:
  Plan() = default;
  void map(const std::string& path);
  void check();
  void check_header() const;
  void check_tables();
  void check_tensors();
  void check_ops();

  const uint8_t* data_ = nullptr;
  size_t bytes_ = 0;
  void* mapping_ = nullptr;  // where mapped from a file
  Store memory_;             // where the plan owns it
  const PlanTensor* tensors_ = nullptr;
  const PlanOp* ops_ = nullptr;
  std::vector<PlanBlob> blobs_;  // a copy: in the file they need not lie at a multiple of 8
  size_t arena_bytes_ = 0;
  std::vector<Range> ranges_;
};

// Bytes of one number; of one word of 64 channels for bits.
size_t number_bytes(Number number);
// Bytes of a tensor that has been checked.
size_t tensor_bytes(const PlanTensor& tensor);
// Smallest and largest value of a number type.
Range number_range(Number number);
const char* number_name(Number number);
const char* kind_name(OpKind kind);

}  // namespace flipflow
