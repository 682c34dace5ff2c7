// Verilator harness of a whole accelerator: feeds packed beats from a file, writes the beats that come out, and counts
// cycles as the cycle model does (sim/cycle_model.py). Generic over the widths of the top's ports.
//
// Arguments are key=value; Python (sim/verilator.py) passes all of them:
//   in, out, done     files: input beats, output beats (both little-endian words of 32 bits, beats padded to whole words),
//                     and int64 completion cycles of the frames
//   frames, in_beats, out_beats           number of frames; beats of a frame
//   in_words, out_words                   32-bit words of a beat
//   stall, seed       probability that an end holds back in a cycle, and the seed of that and of the registers without reset
//   patience          cycles without a beat at either end after which the run is given up
//   check_last        1: tlast must mark the last beat of a frame, and no other
//   trace             waveform file, in builds with --trace-vcd or --trace-fst; empty: none
// Standard output: "frames N" lines for progress, then one line of JSON: status "ok", "stuck" (the watchdog), "unstable" (the
// output was taken back or changed while not ready) or "last" (tlast misplaced), and the counts.

#include <verilated.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "Vaccelerator.h"
#include "stall.h"

#if VM_TRACE_FST
#include <verilated_fst_c.h>
using Trace = VerilatedFstC;
#elif VM_TRACE
#include <verilated_vcd_c.h>
using Trace = VerilatedVcdC;
#endif

namespace {

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(2);
}

// 32-bit words of a port, whichever of Verilator's types it has.
template <class Port>
size_t port_words(const Port&) {
  return (sizeof(Port) + 3) / 4;
}

template <class Port, std::enable_if_t<std::is_integral_v<Port>, int> = 0>
void load(Port& port, const uint32_t* words) {
  uint64_t value = words[0];
  if (sizeof(Port) > 4) value |= static_cast<uint64_t>(words[1]) << 32;
  port = static_cast<Port>(value);
}
template <std::size_t N>
void load(VlWide<N>& port, const uint32_t* words) {
  for (std::size_t i = 0; i < N; ++i) port[i] = words[i];
}

template <class Port, std::enable_if_t<std::is_integral_v<Port>, int> = 0>
void store(const Port& port, uint32_t* words) {
  words[0] = static_cast<uint32_t>(port);
  if (sizeof(Port) > 4) words[1] = static_cast<uint32_t>(static_cast<uint64_t>(port) >> 32);
}
template <std::size_t N>
void store(const VlWide<N>& port, uint32_t* words) {
  for (std::size_t i = 0; i < N; ++i) words[i] = port[i];
}

template <class Port>
std::string bits(const Port& port) {
  std::vector<uint32_t> words(port_words(port));
  store(port, words.data());
  std::string text;
  for (size_t i = 0; i < 32 * words.size(); ++i) text += (words[i / 32] >> (i % 32)) & 1 ? '1' : '0';
  return text;
}

struct File {
  File(const std::string& path, const char* mode) : handle(std::fopen(path.c_str(), mode)) {
    if (handle == nullptr) die("cannot open " + path);
    std::setvbuf(handle, nullptr, _IOFBF, 1 << 20);
  }
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  void read(void* data, size_t bytes) {
    if (std::fread(data, 1, bytes, handle) != bytes) die("the input file is too short");
  }
  void write(const void* data, size_t bytes) {
    if (std::fwrite(data, 1, bytes, handle) != bytes) die("cannot write the output (disk full?)");
  }
  void close() {
    if (handle != nullptr && std::fclose(handle) != 0) die("cannot write the output (disk full?)");
    handle = nullptr;
  }
  std::FILE* handle;
};

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string argument = argv[i];
      const size_t equals = argument.find('=');
      if (argument[0] != '+' && equals != std::string::npos) {
        values_[argument.substr(0, equals)] = argument.substr(equals + 1);
      }
    }
  }
  std::string text(const std::string& key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) die("missing argument " + key);
    return found->second;
  }
  int64_t count(const std::string& key) const { return std::stoll(text(key)); }

 private:
  std::map<std::string, std::string> values_;
};

class Harness {
 public:
  Harness(VerilatedContext& context, const Arguments& arguments)
      : context_(context),
        top_(&context, "accelerator"),
        frames_(arguments.count("frames")),
        in_beats_(arguments.count("in_beats")),
        out_beats_(arguments.count("out_beats")),
        patience_(arguments.count("patience")),
        check_last_(arguments.count("check_last") != 0),
        source_stall_(std::stod(arguments.text("stall")), arguments.count("seed"), flipflow::kSourceStream),
        sink_stall_(std::stod(arguments.text("stall")), arguments.count("seed"), flipflow::kSinkStream),
        in_(arguments.text("in"), "rb"),
        out_(arguments.text("out"), "wb"),
        done_(arguments.text("done"), "wb"),
        in_beat_(arguments.count("in_words")),
        out_beat_(arguments.count("out_words")),
        held_(out_beat_.size()) {
    if (port_words(top_.s_axis_tdata) != in_beat_.size() || port_words(top_.m_axis_tdata) != out_beat_.size()) {
      die("tdata of the RTL and tdata_width of accelerator.json differ");
    }
    open_trace(arguments.text("trace"));
  }

  void run() {
    const auto start = std::chrono::steady_clock::now();
    reset();
    while (status_ == nullptr) step();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    top_.final();
#if VM_TRACE
    if (trace_) trace_->close();
#endif
    out_.close();
    done_.close();
    std::printf("{\"status\": \"%s\", \"cycles\": %lld, \"first\": %lld, \"accepted\": %lld, \"produced\": %lld, "
                "\"seconds\": %.6f, \"full\": \"%s\", \"empty\": \"%s\"}\n",
                status_, static_cast<long long>(cycle_), static_cast<long long>(first_), static_cast<long long>(accepted_),
                static_cast<long long>(produced_), seconds.count(), bits(top_.fifo_full_o).c_str(),
                bits(top_.fifo_empty_o).c_str());
  }

 private:
  void reset() {
    top_.s_axis_tvalid = 0;
    top_.m_axis_tready = 0;
    top_.rst_ni = 0;
    for (int i = 0; i < 4; ++i) {
      settle();
      rise();
    }
    top_.rst_ni = 1;
  }

  // One cycle: drive both ends, let the logic settle, look who moves, and clock.
  void step() {
    if (!offered_ && accepted_ < frames_ * in_beats_ && !source_stall_(cycle_)) {
      in_.read(in_beat_.data(), in_beat_.size() * 4);
      load(top_.s_axis_tdata, in_beat_.data());
      offered_ = true;
    }
    const bool sink_ready = !sink_stall_(cycle_);
    top_.s_axis_tvalid = offered_;
    top_.m_axis_tready = sink_ready;
    settle();
    const bool taken = offered_ && top_.s_axis_tready;
    const bool given = sink_ready && top_.m_axis_tvalid;
    check_stable(sink_ready);
    if (given && status_ == nullptr) deliver();
    if (taken) {
      if (accepted_++ == 0) first_ = cycle_;
      offered_ = false;
    }
    idle_ = taken || given ? 0 : idle_ + 1;
    if (idle_ >= patience_ && status_ == nullptr) status_ = "stuck";
    if (status_ == nullptr || given) ++cycle_;
    if (status_ == nullptr) rise();
  }

  // A beat offered and not taken must be offered again, unchanged.
  void check_stable(bool sink_ready) {
    store(top_.m_axis_tdata, out_beat_.data());
    const bool valid = top_.m_axis_tvalid;
    const bool last = top_.m_axis_tlast;
    if (waiting_ && (!valid || last != held_last_ || out_beat_ != held_)) status_ = "unstable";
    waiting_ = valid && !sink_ready;
    if (waiting_) {
      held_ = out_beat_;
      held_last_ = last;
    }
  }

  void deliver() {
    out_.write(out_beat_.data(), out_beat_.size() * 4);
    const bool last = ++produced_ % out_beats_ == 0;
    if (check_last_ && last != static_cast<bool>(top_.m_axis_tlast)) status_ = "last";
    if (!last) return;
    done_.write(&cycle_, sizeof cycle_);
    const int64_t frames = produced_ / out_beats_;
    if (frames == frames_ && status_ == nullptr) status_ = "ok";
    if (frames * 200 / frames_ != (frames - 1) * 200 / frames_) {
      std::printf("frames %lld\n", static_cast<long long>(frames));
      std::fflush(stdout);
    }
  }

  void settle() {
    top_.clk_i = 0;
    top_.eval();
    tick();
  }
  void rise() {
    top_.clk_i = 1;
    top_.eval();
    tick();
  }

#if VM_TRACE
  void open_trace(const std::string& path) {
    if (path.empty()) return;
    trace_ = std::make_unique<Trace>();
    top_.trace(trace_.get(), 99);
    trace_->open(path.c_str());
    if (!trace_->isOpen()) die("cannot open " + path);
  }
  void tick() {
    if (trace_) trace_->dump(context_.time());
    context_.timeInc(5);
  }
  std::unique_ptr<Trace> trace_;
#else
  void open_trace(const std::string& path) {
    if (!path.empty()) die("this build cannot write waveforms");
  }
  void tick() {}
#endif

  VerilatedContext& context_;
  Vaccelerator top_;
  const int64_t frames_, in_beats_, out_beats_, patience_;
  const bool check_last_;
  const flipflow::Stall source_stall_, sink_stall_;
  File in_, out_, done_;
  std::vector<uint32_t> in_beat_, out_beat_, held_;
  bool offered_ = false, waiting_ = false, held_last_ = false;
  int64_t cycle_ = 0, first_ = -1, accepted_ = 0, produced_ = 0, idle_ = 0;
  const char* status_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  VerilatedContext context;
  context.commandArgs(argc, argv);
  context.traceEverOn(!arguments.text("trace").empty());
  // Registers without a reset start at random, as in hardware: nothing may depend on them.
  context.randReset(2);
  context.randSeed(static_cast<int>(arguments.count("seed") & 0x7FFFFFFF) | 1);
  std::make_unique<Harness>(context, arguments)->run();
  return 0;
}
