// Errors of the CPU path: a small code for programs and a message for people, thrown as one exception type.
// The C API turns it into a status and a text, the Python module into PlanError.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace flipflow {

enum class Code : int32_t {
  ok = 0,
  io = 1,           // the file cannot be opened or read
  malformed = 2,    // not a plan, or one whose content contradicts itself
  version = 3,      // a plan of another version of the format
  checksum = 4,     // bytes were damaged after the plan was written
  unsupported = 5,  // no such instruction set here
  argument = 6,     // what the caller passed
  memory = 7,       // not enough of it
};

class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

[[noreturn]] void fail(Code code, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace flipflow
