// Runs a plan with the kernels of one instruction set on a fixed number of threads.
//
// All memory is taken while the engine is built: the arena of the plan's tensors, scratch for the kernels, and the constants derived
// from the plan; nothing is allocated while it runs. Results do not depend on the instruction set or the number of threads.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "conv.h"
#include "plan.h"
#include "pool.h"
#include "store.h"

namespace flipflow {

constexpr int kMaxThreads = 256;

// What a user may want to know of one operator.
struct OperatorInfo {
  std::string name;
  const char* kind;
  const char* kernel;         // of a convolution; else "plain"
  std::string input, output;  // maps, as "56x56x64 bits"
  int64_t macs;               // products of a convolution
  bool fallback, repacked;
};

class Engine {
 public:
  // isa: a name as in dispatch.h, or "auto". Throws Error, std::bad_alloc or std::system_error (no more threads).
  Engine(std::shared_ptr<const Plan> plan, const std::string& isa, int threads);

  // images: [count] maps of the plan's input, [height][width][channels] in its number type, of any alignment.
  // logits: int32 [count][classes]. Throws Error (argument) where a value is outside the input's declared range; logits of the images
  // before it have been written then. Calls from several threads take turns.
  void run(const void* images, size_t count, int32_t* logits);

  // The same, and the nanoseconds of each operator: [count][ops].
  void profile(const void* images, size_t count, int32_t* logits, int64_t* nanoseconds);

  // JSON: isa, threads, bytes of memory, and for each operator its kernel, shape and fallbacks. See docs of the C API.
  std::string describe() const;
  std::vector<OperatorInfo> operators() const;

  const Plan& plan() const { return *plan_; }
  const char* isa() const { return kernels_.isa; }
  int threads() const { return pool_.threads(); }

 private:
  // What an operator needs beside the plan; convolutions have a Conv instead.
  struct Constants {
    Fires fires;
    const uint64_t* invert;
    const int32_t *bias, *slope, *shift;
  };
  struct Step {
    int32_t conv;  // of convs_, or -1
    Constants constants;
  };

  void build(int threads);
  void load_image(const uint8_t* image, size_t index);
  void run_image(const uint8_t* image, size_t index, int32_t* logits, int64_t* nanoseconds);
  void run_op(int32_t index);
  void run_conv_op(int32_t index);
  void run_rows(int32_t index, int32_t begin, int32_t end);
  View view(int32_t tensor) const;
  void* data(int32_t tensor) const { return arena_ + plan_->tensor(tensor).offset; }

  std::shared_ptr<const Plan> plan_;
  const Kernels& kernels_;
  Pool pool_;
  Store store_;      // arena and scratch
  Store constants_;  // derived constants and repacked weights
  uint8_t* arena_ = nullptr;
  void* scratch_ = nullptr;
  size_t scratch_bytes_ = 0, repacked_bytes_ = 0;
  std::vector<Step> steps_;
  std::vector<Conv> convs_;
  std::mutex running_;
};

}  // namespace flipflow
