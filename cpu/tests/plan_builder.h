// Writes plans for tests, from the description of the format alone: tables, blobs, offsets in the arena one behind the other, checksums.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "crc32.h"
#include "plan_format.h"

namespace flipflow {

struct PlanBuilder {
  PlanHeader header{};
  std::vector<PlanTensor> tensors;
  std::vector<PlanOp> ops;
  std::vector<std::pair<Element, std::vector<uint8_t>>> blobs;

  // Index of a new tensor; its place is found by finish().
  int32_t tensor(Number number, int32_t height, int32_t width, int32_t channels, int32_t minimum, int32_t maximum) {
    tensors.push_back({number, height, width, channels, minimum, maximum, 0});
    return static_cast<int32_t>(tensors.size()) - 1;
  }

  // Index of a new blob.
  template <typename T>
  int32_t numbers(Element element, const std::vector<T>& values) {
    std::vector<uint8_t> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    blobs.emplace_back(element, std::move(bytes));
    return static_cast<int32_t>(blobs.size()) - 1;
  }

  // An operator with a 1x1 window, stride 1, no padding, no blobs but its name, to be changed and given to add().
  PlanOp op(OpKind kind, const std::string& name, int32_t in, int32_t out) {
    PlanOp op{};
    op.kind = kind;
    op.name = numbers<char>(Element::bytes, {name.begin(), name.end()});
    op.in[0] = in, op.in[1] = kNone, op.out[0] = out, op.out[1] = kNone;
    op.kernel_height = op.kernel_width = op.stride_height = op.stride_width = 1;
    op.weights = op.threshold = op.invert = op.slope = op.bias = op.shift = op.levels = kNone;
    return op;
  }
  void add(const PlanOp& op) { ops.push_back(op); }

  // Places the tensors and fills in the header.
  void finish(int32_t input, int32_t output, int32_t classes) {
    std::memcpy(header.magic, kPlanMagic, sizeof kPlanMagic);
    header.version = kPlanVersion;
    header.header_bytes = sizeof header;
    header.input = input, header.output = output, header.classes = classes;
    header.logit_scale = 1;
    header.arena_bytes = 0;
    for (PlanTensor& t : tensors) {
      const uint64_t depth = t.number == Number::bits ? (t.channels + 63) / 64 * 8 : t.number == Number::i32 ? 4 * t.channels : 2 * t.channels;
      t.offset = header.arena_bytes;
      header.arena_bytes += (static_cast<uint64_t>(t.height) * t.width * depth + 63) / 64 * 64;
    }
  }

  // The file, with both checksums right.
  std::vector<uint8_t> bytes() const {
    PlanHeader h = header;
    h.tensors = static_cast<uint32_t>(tensors.size()), h.ops = static_cast<uint32_t>(ops.size()), h.blobs = static_cast<uint32_t>(blobs.size());
    std::vector<uint8_t> file(sizeof h);
    append(file, tensors), append(file, ops);
    std::vector<PlanBlob> table;
    uint64_t offset = (file.size() + blobs.size() * sizeof(PlanBlob) + 63) / 64 * 64;
    for (const auto& [element, content] : blobs) {
      table.push_back({offset, content.size(), element, 0});
      offset += (content.size() + 63) / 64 * 64;
    }
    append(file, table);
    for (size_t i = 0; i < blobs.size(); ++i) {
      file.resize(table[i].offset, 0);
      append(file, blobs[i].second);
    }
    file.resize(offset, 0);
    h.file_bytes = file.size();
    h.body_checksum = h.header_checksum = 0;
    h.header_checksum = crc32(&h, sizeof h);
    h.body_checksum = crc32(file.data() + sizeof h, file.size() - sizeof h);
    std::memcpy(file.data(), &h, sizeof h);
    return file;
  }

 private:
  template <typename T>
  static void append(std::vector<uint8_t>& file, const std::vector<T>& values) {
    const auto* from = reinterpret_cast<const uint8_t*>(values.data());
    file.insert(file.end(), from, from + values.size() * sizeof(T));
  }
};

}  // namespace flipflow
