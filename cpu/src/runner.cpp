// flipflow-runner: times plans on a machine that has nothing else, and runs them on files. Uses the C interface alone.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "flipflow_cpu.h"

namespace {

constexpr const char* kUsage =
    "usage: flipflow-runner PLAN... [options]\n"
    "  --isa NAME        instruction set: auto (default) or one of --list-isas\n"
    "  --all-isas        every instruction set of this processor, one after the other\n"
    "  --threads N       threads (default 1)\n"
    "  --repeat N        timed inferences of one image (default 50); --warmup N before them (default 5)\n"
    "  --input FILE      raw pixels of one or more images, as the plan stores them; else random ones from a fixed seed\n"
    "  --output FILE     int32 logits of all images of the input\n"
    "  --profile         a table of the operators\n"
    "  --table4          rows as in Table 4 of the paper: network, milliseconds, megabytes\n"
    "  --json            one JSON document instead of text\n"
    "  --list-isas       instruction sets of this build, and whether this processor has them\n";

struct Options {
  std::vector<std::string> plans;
  std::string isa = "auto", input, output;
  int threads = 1, repeat = 50, warmup = 5;
  bool all_isas = false, profile = false, table4 = false, json = false, list = false;
};

using Clock = std::chrono::steady_clock;
using Plan = std::unique_ptr<flipflow_plan, void (*)(flipflow_plan*)>;
using Engine = std::unique_ptr<flipflow_engine, void (*)(flipflow_engine*)>;

[[noreturn]] void die(int status, const std::string& message) {
  std::fprintf(stderr, "flipflow-runner: %s\n", message.c_str());
  std::exit(status);
}

void check(flipflow_status status, const std::string& what) {
  if (status != FLIPFLOW_OK) die(status == FLIPFLOW_SYSTEM || status == FLIPFLOW_MEMORY ? 1 : 2, what + ": " + flipflow_error());
}

double milliseconds(Clock::time_point from) { return std::chrono::duration<double, std::milli>(Clock::now() - from).count(); }

// --- options ---

int number(const char* text, int least, const std::string& option) {
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < least || value > 1000000) die(2, option + " wants a number from " + std::to_string(least) + " on");
  return static_cast<int>(value);
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 >= argc) die(2, word + " wants a value");
      return argv[++i];
    };
    if (word == "--isa") o.isa = value();
    else if (word == "--input") o.input = value();
    else if (word == "--output") o.output = value();
    else if (word == "--threads") o.threads = number(value(), 1, word);
    else if (word == "--repeat") o.repeat = number(value(), 1, word);
    else if (word == "--warmup") o.warmup = number(value(), 0, word);
    else if (word == "--all-isas") o.all_isas = true;
    else if (word == "--profile") o.profile = true;
    else if (word == "--table4") o.table4 = true;
    else if (word == "--json") o.json = true;
    else if (word == "--list-isas") o.list = true;
    else if (word == "--help" || word == "-h") std::exit(std::fputs(kUsage, stdout) < 0);
    else if (word[0] == '-') die(2, "there is no option " + word + "\n" + kUsage);
    else o.plans.push_back(word);
  }
  if (o.plans.empty() && !o.list) die(2, std::string("no plan is named\n") + kUsage);
  return o;
}

// --- images ---

// Pixels over the whole range of the input, the same on every machine.
std::vector<uint8_t> random_images(const flipflow_plan_info& info, size_t count) {
  std::vector<uint8_t> bytes(info.image_bytes * count);
  const size_t size = info.number == FLIPFLOW_I16 ? 2 : 1;
  const uint64_t span = static_cast<uint64_t>(int64_t{info.maximum} - info.minimum) + 1;
  uint64_t state = 0x9e3779b97f4a7c15;
  for (size_t i = 0; i < bytes.size(); i += size) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    const auto pixel = static_cast<int16_t>(info.minimum + static_cast<int64_t>((state >> 33) % span));
    std::memcpy(&bytes[i], &pixel, size);  // little-endian: the low byte comes first
  }
  return bytes;
}

std::vector<uint8_t> read_images(const std::string& path, const flipflow_plan_info& info) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) die(2, "cannot open " + path);
  std::vector<uint8_t> bytes;
  uint8_t block[65536];
  for (size_t got; (got = std::fread(block, 1, sizeof block, file)) > 0;) bytes.insert(bytes.end(), block, block + got);
  std::fclose(file);
  if (bytes.empty() || bytes.size() % info.image_bytes != 0) {
    die(2, path + " has " + std::to_string(bytes.size()) + " bytes, not a multiple of " + std::to_string(info.image_bytes) + ", an image of this plan");
  }
  return bytes;
}

void write_logits(const std::string& path, const std::vector<int32_t>& logits) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) die(2, "cannot open " + path);
  const bool whole = std::fwrite(logits.data(), sizeof(int32_t), logits.size(), file) == logits.size();
  if (std::fclose(file) != 0 || !whole) die(1, "cannot write " + path);
}

uint64_t fnv1a(const std::vector<int32_t>& values) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  for (size_t i = 0; i < values.size() * sizeof(int32_t); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

// --- measuring ---

struct Result {
  std::string plan, isa;
  flipflow_plan_info info;
  double first_ms, median, least, most;
  uint64_t checksum;
  std::vector<flipflow_operator> operators;
  std::vector<double> microseconds;  // of each operator, medians
  std::string description;
  Engine engine;  // texts of `operators` live in it
};

double median_of(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

std::vector<double> profile(flipflow_engine* engine, const uint8_t* image, const flipflow_plan_info& info, int repeat) {
  std::vector<int32_t> logits(info.classes);
  std::vector<std::vector<int64_t>> runs(repeat, std::vector<int64_t>(info.operators));
  for (auto& run : runs) check(flipflow_engine_profile(engine, image, 1, logits.data(), run.data()), "profile");
  std::vector<double> medians;
  for (int32_t op = 0; op < info.operators; ++op) {
    std::vector<double> times;
    for (const auto& run : runs) times.push_back(static_cast<double>(run[op]) / 1000);
    medians.push_back(median_of(times));
  }
  return medians;
}

Result measure(const Options& o, const std::string& path, const std::string& isa) {
  Result r{path, "", {}, 0, 0, 0, 0, 0, {}, {}, "", Engine(nullptr, &flipflow_engine_destroy)};
  const Clock::time_point start = Clock::now();
  flipflow_plan* opened = nullptr;
  check(flipflow_plan_open(path.c_str(), &opened), path);
  const Plan plan(opened, &flipflow_plan_close);
  flipflow_engine* made = nullptr;
  check(flipflow_engine_create(plan.get(), isa.c_str(), o.threads, &made), path);
  r.engine.reset(made);
  const double load_ms = milliseconds(start);
  flipflow_plan_get_info(plan.get(), &r.info);
  const std::vector<uint8_t> images = o.input.empty() ? random_images(r.info, 4) : read_images(o.input, r.info);
  const size_t count = images.size() / r.info.image_bytes;
  std::vector<int32_t> logits(count * r.info.classes);
  const Clock::time_point first = Clock::now();
  check(flipflow_engine_run(made, images.data(), 1, logits.data()), path);
  r.first_ms = load_ms + milliseconds(first);
  check(flipflow_engine_run(made, images.data(), count, logits.data()), path);
  if (!o.output.empty()) write_logits(o.output, logits);
  r.checksum = fnv1a(logits);
  std::vector<double> times;
  for (int i = -o.warmup; i < o.repeat; ++i) {
    const Clock::time_point before = Clock::now();
    check(flipflow_engine_run(made, images.data(), 1, logits.data()), path);
    if (i >= 0) times.push_back(milliseconds(before));
  }
  r.isa = flipflow_engine_isa(made);
  r.median = median_of(times);
  r.least = *std::min_element(times.begin(), times.end());
  r.most = *std::max_element(times.begin(), times.end());
  if (o.profile) r.microseconds = profile(made, images.data(), r.info, o.repeat);
  r.operators.resize(r.info.operators);
  for (int32_t i = 0; i < r.info.operators; ++i) check(flipflow_engine_operator(made, i, &r.operators[i]), path);
  r.description = flipflow_engine_describe(made);
  return r;
}

// --- printing ---

std::string stem(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.substr(0, name.find_last_of('.'));
}

void print_operators(const Result& r) {
  std::printf("  %-28s %-15s %-22s %-18s %10s %6s %9s\n", "operator", "kind", "kernel", "output", "us", "%", "GMAC/s");
  double total = 0;
  for (const double us : r.microseconds) total += us;
  for (size_t i = 0; i < r.operators.size(); ++i) {
    const flipflow_operator& op = r.operators[i];
    const double us = r.microseconds[i];
    std::printf("  %-28s %-15s %-22s %-18s %10.1f %6.1f", op.name, op.kind, op.kernel, op.output, us, 100 * us / std::max(total, 1e-9));
    if (op.macs > 0) std::printf(" %9.1f", static_cast<double>(op.macs) / std::max(us, 1e-3) / 1000);
    std::printf("%s%s\n", op.fallback ? "  fallback" : "", op.repacked ? "  repacked" : "");
  }
}

void print_text(const Options& o, const Result& r) {
  if (o.table4) {
    std::printf("| %-24s | %-8s | %7d | %9.2f | %8.2f |\n", stem(r.plan).c_str(), r.isa.c_str(), o.threads, r.median, r.info.plan_bytes / 1e6);
    return;
  }
  std::printf("%s: %s, %d thread%s: median %.3f ms, min %.3f, max %.3f; first inference with load %.1f ms; %zu bytes; logits %016" PRIx64 "\n",
              r.plan.c_str(), r.isa.c_str(), o.threads, o.threads == 1 ? "" : "s", r.median, r.least, r.most, r.first_ms, r.info.plan_bytes, r.checksum);
  if (o.profile) print_operators(r);
}

std::string json_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 32 ? '?' : c;
  }
  return "\"" + result + "\"";
}

void print_json(const Options& o, const std::vector<Result>& results) {
  std::printf("{\"rows\": [");
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    std::printf("%s\n {\"plan\": %s, \"isa\": \"%s\", \"threads\": %d, \"ms_median\": %.6f, \"ms_min\": %.6f, \"ms_max\": %.6f, \"first_ms\": %.3f,"
                " \"file_bytes\": %zu, \"checksum\": \"%016" PRIx64 "\", \"op_us\": [",
                i == 0 ? "" : ",", json_text(r.plan).c_str(), r.isa.c_str(), o.threads, r.median, r.least, r.most, r.first_ms, r.info.plan_bytes,
                r.checksum);
    for (size_t k = 0; k < r.microseconds.size(); ++k) std::printf("%s%.3f", k == 0 ? "" : ", ", r.microseconds[k]);
    std::printf("],\n  \"engine\": %s}", r.description.c_str());
  }
  std::printf("]}\n");
}

void list_isas() {
  for (size_t i = 0; flipflow_isa(i) != nullptr; ++i) {
    std::printf("%-10s %s\n", flipflow_isa(i), flipflow_isa_supported(flipflow_isa(i)) ? "yes" : "no");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  if (o.list) list_isas();
  std::vector<std::string> isas = {o.isa};
  if (o.all_isas) {
    isas.clear();
    for (size_t i = 0; flipflow_isa(i) != nullptr; ++i) {
      if (flipflow_isa_supported(flipflow_isa(i))) isas.emplace_back(flipflow_isa(i));
    }
  }
  if (o.table4 && !o.json && !o.plans.empty()) {
    std::printf("| %-24s | %-8s | %7s | %9s | %8s |\n|%.26s|%.10s|%.9s|%.11s|%.10s|\n", "network", "isa", "threads", "ms", "MB",
                "--------------------------", "----------", "---------", "-----------", "----------");
  }
  std::vector<Result> results;
  for (const std::string& plan : o.plans) {
    for (const std::string& isa : isas) {
      results.push_back(measure(o, plan, isa));
      if (!o.json) print_text(o, results.back());
    }
  }
  if (o.json) print_json(o, results);
  return 0;
}
