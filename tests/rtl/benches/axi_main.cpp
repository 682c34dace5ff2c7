// A device behind AXI4-Lite and AXI4-Stream: Verilator's model of flipflow_axi, told by lines on stdin what to do.
//
//   s STALL SEED         probability of a stall in 0..1 on every channel (valid and ready), and the seed of the draws
//   w ADDRESS DATA STRB  write a register; answers "RESPONSE" (0 okay, 2 slave error)
//   r ADDRESS            read one; answers "RESPONSE DATA"
//   a LAST HEX           send words (hexadecimal bytes, first byte first); LAST: tlast with the last one. Answers "ok".
//   b LIMIT              step until all words are sent, no more than LIMIT cycles; answers words left
//   c WORDS LIMIT        collect: until WORDS result words came, or LIMIT cycles passed; answers "COUNT HEX TLASTS"
//   d                    drop all words not yet sent (a DMA that is reset)
//   q                    end
// While words travel, a register is read now and then and compared with its value at reset, to show that neither disturbs the
// other. Breaches of the protocols end the program with a line on stderr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "Vflipflow_axi.h"
#include "verilated.h"

namespace {

using Word = std::vector<uint8_t>;

[[noreturn]] void fault(const std::string& what) {
  std::cerr << "FAULT " << what << std::endl;
  std::exit(1);
}

// Ports of any width are little-endian memory of at least their bytes.
template <class Port>
void put(Port& port, const Word& word) {
  std::memset(&port, 0, sizeof port);
  std::memcpy(&port, word.data(), word.size());
}

template <class Port>
Word get(const Port& port, size_t bytes) {
  Word word(bytes);
  std::memcpy(word.data(), &port, bytes);
  return word;
}

class Device {
 public:
  Device() : context_(new VerilatedContext), top_(new Vflipflow_axi(context_.get())) {
    context_->randReset(2);
    top_->aresetn = 0;
    for (int i = 0; i < 4; ++i) step();
    top_->aresetn = 1;
    for (int i = 0; i < 24; ++i) step();  // the accelerator's own reset
    magic_ = read(0).second;
  }

  void stall(double probability, unsigned seed) {
    stall_ = probability;
    draw_.seed(seed);
  }

  int write(uint32_t address, uint32_t data, uint32_t strobe) {
    bool address_left = true, data_left = true;
    for (int cycle = 0; cycle < 10000; ++cycle) {
      // Once offered, a channel stays offered.
      if (address_left && !top_->s_axi_awvalid && !stalls()) {
        top_->s_axi_awvalid = 1;
        top_->s_axi_awaddr = address;
      }
      if (data_left && !top_->s_axi_wvalid && !stalls()) {
        top_->s_axi_wvalid = 1;
        top_->s_axi_wdata = data;
        top_->s_axi_wstrb = strobe;
      }
      top_->s_axi_bready = !stalls();
      top_->eval();
      const bool address_taken = top_->s_axi_awvalid && top_->s_axi_awready;
      const bool data_taken = top_->s_axi_wvalid && top_->s_axi_wready;
      const bool answered = top_->s_axi_bvalid && top_->s_axi_bready;
      const int response = top_->s_axi_bresp;
      if (top_->s_axi_bvalid && (address_left || data_left)) fault("bvalid before address and data were taken");
      step();
      if (address_taken) top_->s_axi_awvalid = 0, address_left = false;
      if (data_taken) top_->s_axi_wvalid = 0, data_left = false;
      if (answered) {
        top_->s_axi_bready = 0;
        return response;
      }
    }
    fault("a write is never answered");
  }

  std::pair<int, uint32_t> read(uint32_t address) {
    start_read(address);
    for (int cycle = 0; cycle < 10000; ++cycle) {
      if (finish_read_cycle()) return {read_response_, read_data_};
    }
    fault("a read is never answered");
  }

  void queue(const std::vector<Word>& words, bool last) {
    for (size_t i = 0; i < words.size(); ++i) to_send_.push_back({words[i], last && i + 1 == words.size()});
  }

  void drop() {
    to_send_.clear();
    top_->s_axis_tvalid = 0;
  }

  size_t send(long limit) {
    for (long cycle = 0; cycle < limit && !to_send_.empty(); ++cycle) stream_cycle(false);
    return to_send_.size();
  }

  void collect(size_t words, long limit) {
    for (long cycle = 0; cycle < limit && received_.size() < words; ++cycle) stream_cycle(true);
  }

  std::deque<std::pair<Word, bool>>& received() { return received_; }

 private:
  bool stalls() { return std::uniform_real_distribution<>(0, 1)(draw_) < stall_; }

  // One clock cycle with the inputs as they are; watches what must hold in every cycle.
  void step() {
    top_->aclk = 0;
    top_->eval();
    const bool waits = top_->m_axis_tvalid && !top_->m_axis_tready;
    const Word data = get(top_->m_axis_tdata, OUT_BYTES);
    const bool last = top_->m_axis_tlast;
    if (held_ && (!top_->m_axis_tvalid || data != held_data_ || last != held_last_)) fault("a refused word changed");
    if (top_->m_axis_tvalid) {
      const Word keep = get(top_->m_axis_tkeep, (OUT_BYTES + 7) / 8);
      for (int i = 0; i < OUT_BYTES; ++i) {
        if (!(keep[i / 8] >> (i % 8) & 1)) fault("tkeep is not all ones");
      }
    }
    held_ = waits && top_->aresetn && !resetting_;
    held_data_ = data;
    held_last_ = last;
    const bool sent = top_->s_axis_tvalid && top_->s_axis_tready;
    top_->aclk = 1;
    top_->eval();
    if (sent) {
      top_->s_axis_tvalid = 0;
      to_send_.pop_front();
    }
    top_->aclk = 0;
    top_->eval();
  }

  void start_read(uint32_t address) {
    reading_ = true;
    read_offered_ = false;
    read_taken_ = false;
    read_address_ = address;
  }

  // One cycle of a read under way; streams stand still in it. True when its answer was taken.
  bool finish_read_cycle() {
    prepare_read();
    top_->eval();
    const bool done = look_at_read();
    step();
    settle_read(done);
    return done;
  }

  void prepare_read() {
    if (!read_taken_ && !read_offered_ && !stalls()) {
      read_offered_ = true;
      top_->s_axi_arvalid = 1;
      top_->s_axi_araddr = read_address_;
    }
    top_->s_axi_rready = !stalls();
  }

  bool look_at_read() {
    address_fires_ = top_->s_axi_arvalid && top_->s_axi_arready;
    if (top_->s_axi_rvalid && !read_taken_) fault("rvalid before the address was taken");
    if (rheld_ && (!top_->s_axi_rvalid || top_->s_axi_rdata != rheld_data_)) fault("a refused read answer changed");
    rheld_ = top_->s_axi_rvalid && !top_->s_axi_rready;
    rheld_data_ = top_->s_axi_rdata;
    const bool done = top_->s_axi_rvalid && top_->s_axi_rready;
    read_response_ = top_->s_axi_rresp;
    read_data_ = top_->s_axi_rdata;
    return done;
  }

  void settle_read(bool done) {
    if (address_fires_) {
      top_->s_axi_arvalid = 0;
      read_taken_ = true;
    }
    if (done) {
      top_->s_axi_rready = 0;
      reading_ = false;
    }
  }

  void stream_cycle(bool receive) {
    if (!top_->s_axis_tvalid && !to_send_.empty() && !stalls()) {
      top_->s_axis_tvalid = 1;
      put(top_->s_axis_tdata, to_send_.front().first);
      top_->s_axis_tlast = to_send_.front().second;
    }
    top_->m_axis_tready = receive && !stalls();
    const bool background = stall_ > 0;
    if (background && !reading_ && stalls()) start_read(0);
    if (reading_) prepare_read();
    top_->eval();
    const bool read_done = reading_ && look_at_read();
    if (top_->m_axis_tvalid && top_->m_axis_tready) {
      received_.push_back({get(top_->m_axis_tdata, OUT_BYTES), static_cast<bool>(top_->m_axis_tlast)});
    }
    step();
    if (reading_) settle_read(read_done);
    if (read_done && (read_data_ != magic_ || read_response_ != 0)) fault("a read beside the streams gave another value");
    top_->m_axis_tready = 0;
  }

 public:
  // A read that was begun beside the streams is ended before the next command.
  void settle() {
    while (reading_) finish_read_cycle();
  }
  // A word under way may be withdrawn when the accelerator is reset, and only then.
  void resetting(bool on) {
    resetting_ = on;
    held_ = false;
  }

 private:
  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Vflipflow_axi> top_;
  std::mt19937 draw_{1};
  double stall_ = 0;
  uint32_t magic_ = 0;
  std::deque<std::pair<Word, bool>> to_send_, received_;
  bool held_ = false, held_last_ = false, resetting_ = false;
  Word held_data_;
  bool reading_ = false, read_offered_ = false, read_taken_ = false, address_fires_ = false, rheld_ = false;
  uint32_t read_address_ = 0, read_data_ = 0, rheld_data_ = 0;
  int read_response_ = 0;
};

std::vector<Word> parse(const std::string& hex) {
  std::vector<Word> words;
  const size_t digits = 2 * IN_BYTES;
  for (size_t at = 0; at + digits <= hex.size(); at += digits) {
    Word word(IN_BYTES);
    for (int i = 0; i < IN_BYTES; ++i) word[i] = std::stoi(hex.substr(at + 2 * i, 2), nullptr, 16);
    words.push_back(word);
  }
  return words;
}

void answer_collected(Device& device, size_t words) {
  auto& queue = device.received();
  const size_t count = std::min(words, queue.size());
  std::string hex, lasts;
  char digits[3];
  for (size_t i = 0; i < count; ++i) {
    for (uint8_t byte : queue.front().first) std::snprintf(digits, sizeof digits, "%02x", byte), hex += digits;
    lasts += queue.front().second ? '1' : '0';
    queue.pop_front();
  }
  std::cout << count << ' ' << hex << ' ' << lasts << std::endl;
}

}  // namespace

int main() {
  Device device;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream in(line);
    char verb = 0;
    in >> verb >> std::hex;
    uint32_t address = 0, data = 0, strobe = 0;
    if (verb == 's') {
      double probability = 0;
      unsigned seed = 0;
      in >> std::dec >> probability >> seed;
      device.stall(probability, seed);
      std::cout << "ok" << std::endl;
    } else if (verb == 'w') {
      in >> address >> data >> strobe;
      device.resetting(address == 0x008 && (data & 1));
      const int response = device.write(address, data, strobe);
      device.resetting(false);
      std::cout << response << std::endl;
    } else if (verb == 'r') {
      in >> address;
      const auto [response, value] = device.read(address);
      std::cout << response << ' ' << std::hex << value << std::dec << std::endl;
    } else if (verb == 'a') {
      bool last = false;
      std::string hex;
      in >> last >> hex;
      device.queue(parse(hex), last);
      std::cout << "ok" << std::endl;
    } else if (verb == 'b' || verb == 'c') {
      long words = 0, limit = 0;
      in >> std::dec;
      if (verb == 'c') in >> words;
      in >> limit;
      if (verb == 'b') {
        std::cout << device.send(limit) << std::endl;
        device.settle();
      } else {
        device.collect(words, limit);
        device.settle();
        answer_collected(device, words);
      }
    } else if (verb == 'd') {
      device.drop();
      std::cout << "ok" << std::endl;
    } else if (verb == 'q') {
      return 0;
    } else {
      fault("unknown command " + line);
    }
  }
  return 0;
}
