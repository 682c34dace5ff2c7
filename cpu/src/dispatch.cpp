#include "dispatch.h"

#include <cstdlib>

#include "status.h"

namespace flipflow {
namespace {

std::string supported_names() {
  std::string names;
  for (const Kernels* kernels : compiled_kernels()) {
    if (kernels->supported()) names += (names.empty() ? "" : ", ") + std::string(kernels->isa);
  }
  return names;
}

}  // namespace

const std::vector<const Kernels*>& compiled_kernels() {
  static const std::vector<const Kernels*> all = {
#if defined(__x86_64__)
      &avx512_kernels, &avx512bw_kernels, &avx2_kernels,
#elif defined(__aarch64__)
      &neon_dot_kernels, &neon_kernels,
#endif
      &scalar_kernels,
#if defined(FLIPFLOW_SIMDE) && !defined(__aarch64__)
      &neon_dot_kernels, &neon_kernels,
#endif
  };
  return all;
}

const Kernels& best_kernels() {
  for (const Kernels* kernels : compiled_kernels()) {
    if (kernels->supported()) return *kernels;
  }
  return scalar_kernels;
}

const Kernels& kernels_named(const std::string& isa) {
  std::string wanted = isa;
  const char* origin = "";
  if (isa == "auto") {
    const char* override_name = std::getenv("FLIPFLOW_ISA");
    if (override_name == nullptr || *override_name == '\0') return best_kernels();
    wanted = override_name;
    origin = " (from FLIPFLOW_ISA)";
  }
  for (const Kernels* kernels : compiled_kernels()) {
    if (wanted != kernels->isa) continue;
    if (kernels->supported()) return *kernels;
    fail(Code::unsupported, "this processor lacks the instruction set '%s'%s; it supports %s", wanted.c_str(), origin,
         supported_names().c_str());
  }
  fail(Code::unsupported, "the instruction set '%s'%s is not part of this build; supported here: %s", wanted.c_str(), origin,
       supported_names().c_str());
}

}  // namespace flipflow
