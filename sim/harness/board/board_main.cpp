// Verilator harness of a whole board: drives the pins of `board_top` (oscillator, serial line, button) and joins the serial line
// to a pseudo-terminal, so that the host's driver runs against it as against a board. Bytes become start, data and stop bits at
// the pin, and edges of the pin become bytes; nothing of the design is looked into.
//
// Arguments are key=value; Python (sim/board.py) passes all of them:
//   oscillator_ps     period of clk_i
//   bit_ps            a bit on the line, as the host's end makes and expects it (a mismatch of the rates goes in here)
//   button            level of the released button
//   fault_in, fault_out, seed   probability that a byte to or from the device is dropped, doubled or has a bit flipped (towards
//                     the device also its start or stop bit), and the seed of that and of registers without a reset
// Standard output: "port PATH" when the board is up; at the end of standard input the simulation ends, with a line of
// JSON: simulated picoseconds, bytes each way, bytes with a bad stop bit from the device, and the faults that were made.

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>
#include <verilated.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "Vboard_top.h"

namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
constexpr double kStartPeriods = 1000;  // of the oscillator, until the PLL runs and the reset is over
constexpr int kIdleBytes = 200;  // byte times without traffic, after which the simulation makes way for others

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(2);
}

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string argument = argv[i];
      const size_t equals = argument.find('=');
      if (equals != std::string::npos) values_[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
  }
  double number(const std::string& key) const { return std::stod(values_.at(key)); }

 private:
  std::map<std::string, std::string> values_;
};

// The master end of a pseudo-terminal without any line discipline.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) die("pseudo-terminal");
    const char* name = ptsname(master_);
    slave_ = open(name, O_RDWR | O_NOCTTY);  // held open: without any holder the master would see an end
    termios raw{};
    if (slave_ < 0 || tcgetattr(slave_, &raw) != 0) die(name);
    cfmakeraw(&raw);
    if (tcsetattr(slave_, TCSANOW, &raw) != 0 || fcntl(master_, F_SETFL, O_NONBLOCK) != 0) die(name);
    name_ = name;
  }
  ~Terminal() {
    close(slave_);
    close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void announce() const {
    std::printf("port %s\n", name_.c_str());
    std::fflush(stdout);
  }
  // Appends what the host has written. False once standard input has ended. Waits up to `patience` ms where there is nothing.
  bool read(std::deque<uint8_t>& bytes, int patience) {
    pollfd polled[2] = {{master_, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    if (poll(polled, 2, patience) <= 0) return true;
    if (polled[1].revents != 0) return false;
    uint8_t buffer[4096];
    const ssize_t size = ::read(master_, buffer, sizeof buffer);
    if (size > 0) bytes.insert(bytes.end(), buffer, buffer + size);
    return true;
  }
  // A byte that nobody fetches is lost, as on a board.
  void write(uint8_t byte) {
    if (::write(master_, &byte, 1) < 0 && errno != EAGAIN) die("write");
  }

 private:
  int master_;
  int slave_ = -1;
  std::string name_;
};

// Damage, with a seed.
class Faults {
 public:
  Faults(double probability, uint64_t seed) : probability_(probability), engine_(seed) {}

  enum class Kind { kNone, kDrop, kDouble, kFlip };
  Kind next() {
    if (std::uniform_real_distribution<>(0, 1)(engine_) >= probability_) return Kind::kNone;
    const int kind = below(3);
    ++counts[kind];
    return static_cast<Kind>(kind + 1);
  }
  int below(int limit) { return static_cast<int>(engine_() % static_cast<uint64_t>(limit)); }

  long counts[3] = {};  // dropped, doubled, flipped

 private:
  double probability_;
  std::mt19937_64 engine_;
};

class Board {
 public:
  Board(VerilatedContext& context, const Arguments& arguments)
      : context_(context),
        top_(&context, "board_top"),
        half_ps_(arguments.number("oscillator_ps") / 2),
        bit_ps_(arguments.number("bit_ps")),
        faults_in_(arguments.number("fault_in"), static_cast<uint64_t>(arguments.number("seed")) * 2 + 1),
        faults_out_(arguments.number("fault_out"), static_cast<uint64_t>(arguments.number("seed")) * 2 + 2) {
    top_.clk_i = 0;
    top_.uart_rx_i = 1;
#if HAS_BUTTON
    top_.button_i = arguments.number("button") != 0;
#endif
    next_poll_ = static_cast<uint64_t>(10 * bit_ps_);
  }

  void run() {
    top_.eval();
    while (context_.time() < kStartPeriods * 2 * half_ps_ && !context_.gotFinish()) step();
    terminal_.announce();
    while (alive_ && !context_.gotFinish()) step();
    top_.final();
    std::printf("{\"ps\": %llu, \"in\": %ld, \"out\": %ld, \"breaks\": %ld, \"faults_in\": [%ld, %ld, %ld], "
                "\"faults_out\": [%ld, %ld, %ld]}\n",
                static_cast<unsigned long long>(context_.time()), bytes_in_, bytes_out_, breaks_, faults_in_.counts[0],
                faults_in_.counts[1], faults_in_.counts[2], faults_out_.counts[0], faults_out_.counts[1],
                faults_out_.counts[2]);
  }

 private:
  // On to the next thing that happens: an edge of the oscillator, of the line, within the PLL, a sample, or a look at the host.
  void step() {
    const uint64_t model = top_.eventsPending() ? top_.nextTimeSlot() : kNever;
    const uint64_t clock = static_cast<uint64_t>(clock_at_);
    const uint64_t now = std::min({model, clock, next_bit_, next_sample_, next_poll_});
    context_.time(now);
    if (now == clock) {
      top_.clk_i = !top_.clk_i;
      clock_at_ += half_ps_;
    }
    if (now == next_poll_) look();
    if (now == next_bit_) drive();
    top_.eval();
    watch(now);
  }

  void look() {
    const bool rests = bits_.empty() && waiting_.empty() && next_sample_ == kNever;
    idle_ = rests ? idle_ + 1 : 0;
    if (waiting_.empty()) alive_ = terminal_.read(waiting_, idle_ > kIdleBytes ? 1 : 0);
    next_poll_ += static_cast<uint64_t>(10 * bit_ps_);
    if (next_bit_ == kNever && !waiting_.empty()) next_bit_ = context_.time();
  }

  // The next bit towards the device.
  void drive() {
    if (bits_.empty()) fetch();
    if (bits_.empty()) {
      next_bit_ = kNever;
      return;
    }
    if (bit_at_ < static_cast<double>(next_bit_)) bit_at_ = static_cast<double>(next_bit_);
    top_.uart_rx_i = bits_.front();
    bits_.pop_front();
    bit_at_ += bit_ps_;
    next_bit_ = static_cast<uint64_t>(bit_at_);
  }

  void fetch() {
    while (bits_.empty() && !waiting_.empty()) {
      const uint8_t byte = waiting_.front();
      waiting_.pop_front();
      ++bytes_in_;
      const Faults::Kind fault = faults_in_.next();
      if (fault == Faults::Kind::kDrop) continue;
      for (int copy = 0; copy < (fault == Faults::Kind::kDouble ? 2 : 1); ++copy) {
        bits_.push_back(false);
        for (int bit = 0; bit < 8; ++bit) bits_.push_back((byte >> bit) & 1);
        bits_.push_back(true);
      }
      if (fault == Faults::Kind::kFlip) {
        const int which = faults_in_.below(10);
        bits_[which] = !bits_[which];
      }
    }
  }

  // The line from the device: waits for a start bit, then samples in the middle of every bit.
  void watch(uint64_t now) {
    const bool level = top_.uart_tx_o;
    if (next_sample_ == kNever) {
      if (level_ && !level) {
        sample_at_ = static_cast<double>(now) + 1.5 * bit_ps_;
        next_sample_ = static_cast<uint64_t>(sample_at_);
        sampled_ = 0;
      }
    } else if (now == next_sample_) {
      if (sampled_ < 8) {
        byte_ = static_cast<uint8_t>((byte_ >> 1) | (level ? 0x80 : 0));
        sample_at_ += bit_ps_;
        next_sample_ = static_cast<uint64_t>(sample_at_);
        ++sampled_;
      } else {
        if (level) deliver();
        breaks_ += !level;
        next_sample_ = kNever;
      }
    }
    level_ = level;
  }

  void deliver() {
    ++bytes_out_;
    const Faults::Kind fault = faults_out_.next();
    if (fault == Faults::Kind::kDrop) return;
    if (fault == Faults::Kind::kFlip) byte_ ^= static_cast<uint8_t>(1 << faults_out_.below(8));
    terminal_.write(byte_);
    if (fault == Faults::Kind::kDouble) terminal_.write(byte_);
  }

  VerilatedContext& context_;
  Vboard_top top_;
  Terminal terminal_;
  const double half_ps_, bit_ps_;
  Faults faults_in_, faults_out_;
  std::deque<uint8_t> waiting_;  // from the host, not yet on the line
  std::deque<bool> bits_;        // of the byte on the line
  double clock_at_ = 0, bit_at_ = 0, sample_at_ = 0;
  uint64_t next_bit_ = kNever, next_sample_ = kNever, next_poll_ = 0;
  bool alive_ = true, level_ = false;
  uint8_t byte_ = 0;
  int sampled_ = 0, idle_ = 0;
  long bytes_in_ = 0, bytes_out_ = 0, breaks_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv);
  VerilatedContext context;
  context.commandArgs(argc, argv);
  context.randReset(2);  // registers without a reset start at random, as nothing may depend on them
  context.randSeed(static_cast<int>(arguments.number("seed")) * 2 + 1);
  std::make_unique<Board>(context, arguments)->run();
  return 0;
}
