// The checks of a plan's tensors and operators, used by Plan alone: tables and blobs have been checked before.
#pragma once

#include <string>
#include <vector>

#include "plan.h"

namespace flipflow {

// Sizes that no network has; they keep all arithmetic on sizes far from overflow.
constexpr int64_t kMaxSide = 65536, kMaxChannels = 1 << 20, kMaxElements = int64_t{1} << 31;
constexpr uint64_t kMaxArena = uint64_t{1} << 32;
constexpr int64_t kMaxTaps = 65536;
constexpr int64_t kMaxFusedPool = 64;  // height of a pool behind a convolution
constexpr int64_t kMaxBinaryFanIn = 1 << 28;
constexpr int64_t kMaxClassConstants = 1 << 26;  // border classes times channels

// "operator 3 ('conv1')", for messages.
std::string place(const Plan& plan, int32_t op);

// Checks one operator against its tensors and blobs; `ranges` holds what the tensors before it can hold, and receives its outputs'.
void check_op(const Plan& plan, int32_t index, std::vector<Range>& ranges);
// The part of it that looks at a convolution's values: that no sum overflows, and what its outputs can hold.
void check_conv_values(const Plan& plan, int32_t index, std::vector<Range>& ranges);
// The same for fixed_ints: |bias| + |slope| * |v| fits 32 bits for every v that the input can hold.
void check_fixed_ints(const Plan& plan, int32_t index, std::vector<Range>& ranges);
// That no operator reads what was not written, none writes twice, and none overwrites what is still needed.
void check_order(const Plan& plan);

// Helpers of both. Each throws a message that names the operator, the field and the value.
void check_numbers(const Plan& plan, int32_t index, const char* field, int32_t blob, int32_t channels);
void check_clamp(const Plan& plan, int32_t index, const char* field, int32_t low, int32_t high, Range allowed);
// Sets the range of a written tensor, and refuses one that its declared range or number type does not cover.
void set_range(const Plan& plan, int32_t index, int32_t tensor, Range range, std::vector<Range>& ranges);

}  // namespace flipflow
