// Engine::describe: what an engine is made of, as JSON.
#include <cinttypes>
#include <cstdio>

#include "engine.h"
#include "layouts.h"

namespace flipflow {
namespace {

// A JSON string; bytes beyond ASCII, which may be no valid text, become escapes.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 32 || byte > 126) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      result += escape;
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string field(const char* name, int64_t value) { return quoted(name) + ": " + std::to_string(value); }
std::string field(const char* name, const std::string& value) { return quoted(name) + ": " + quoted(value); }
std::string flag(const char* name, bool value) { return quoted(name) + (value ? ": true" : ": false"); }

std::string joined(const std::vector<std::string>& parts) {
  std::string result;
  for (const std::string& part : parts) result += (result.empty() ? "" : ", ") + part;
  return "{" + result + "}";
}

std::string map_text(const PlanTensor& t) {
  char text[64];
  std::snprintf(text, sizeof text, "%dx%dx%d %s", t.height, t.width, t.channels, number_name(t.number));
  return text;
}

const char* form_name(Form form) { return form == Form::sums ? "sums" : form == Form::bits ? "bits" : "fixed"; }

std::string shape_json(const Shape& s) {
  return joined({field("in_height", s.in_height), field("in_width", s.in_width), field("in_channels", s.in_channels),
                 field("kernel_height", s.kernel_height), field("kernel_width", s.kernel_width), field("stride_height", s.stride_height),
                 field("stride_width", s.stride_width), field("pad_top", s.pad_top), field("pad_left", s.pad_left),
                 field("out_height", s.out_height), field("out_width", s.out_width), field("out_channels", s.out_channels),
                 field("border", s.border == Border::ones ? "ones" : "zeros"), field("input", number_name(s.input)),
                 field("weights", number_name(s.weights))});
}

std::string hex(const uint8_t (&bytes)[32]) {
  std::string text;
  for (const uint8_t byte : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", byte);
    text += two;
  }
  return text;
}

}  // namespace

std::vector<OperatorInfo> Engine::operators() const {
  std::vector<OperatorInfo> all;
  for (int32_t i = 0; i < plan_->ops(); ++i) {
    const PlanOp& op = plan_->op(i);
    const PlanTensor &in = plan_->tensor(op.in[0]), &out = plan_->tensor(op.out[0] != kNone ? op.out[0] : op.out[1]);
    OperatorInfo info{plan_->name(op), kind_name(op.kind), "plain", map_text(in), map_text(out), 0, false, false};
    if (steps_[i].conv >= 0) {
      const Conv& conv = convs_[steps_[i].conv];
      const Shape& s = conv.shape;
      info.kernel = conv.kernel->name;
      info.macs = int64_t{s.out_height} * s.out_width * s.out_channels * s.taps() * s.in_channels;
      info.fallback = conv.fallback;
      info.repacked = conv.repacked;
    }
    all.push_back(std::move(info));
  }
  return all;
}

std::string Engine::describe() const {
  std::string ops;
  const std::vector<OperatorInfo> infos = operators();
  for (int32_t i = 0; i < plan_->ops(); ++i) {
    const OperatorInfo& info = infos[i];
    std::vector<std::string> parts = {field("name", info.name),   field("kind", info.kind),         field("kernel", info.kernel),
                                      field("input", info.input), field("output", info.output),     field("macs", info.macs),
                                      flag("fallback", info.fallback), flag("repacked", info.repacked)};
    if (steps_[i].conv >= 0) {
      const Conv& conv = convs_[steps_[i].conv];
      const char* split = pool_.threads() == 1 ? "none" : conv.pools || conv.by_rows ? "rows" : "channels";
      parts.push_back(field("form", form_name(conv.epilogue.form)));
      parts.push_back(field("layout", layout_name(conv.kernel->layout)));
      parts.push_back(field("split", split));
      parts.push_back(flag("pooled", conv.pools));
      parts.push_back(quoted("shape") + ": " + shape_json(conv.shape));
    }
    ops += (i == 0 ? "\n  " : ",\n  ") + joined(parts);
  }
  const PlanHeader& header = plan_->header();
  const std::string bytes = joined({field("plan", plan_->bytes()), field("arena", plan_->arena_bytes()), field("scratch", scratch_bytes_),
                                    field("constants", constants_.bytes() - repacked_bytes_), field("repacked", repacked_bytes_)});
  return "{" + field("isa", kernels_.isa) + ", " + field("threads", pool_.threads()) + ", " + field("network", hex(header.network)) + ", " +
         field("classes", header.classes) + ", " + quoted("bytes") + ": " + bytes + ",\n " + quoted("ops") + ": [" + ops + "]}";
}

}  // namespace flipflow
