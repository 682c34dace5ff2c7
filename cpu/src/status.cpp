#include "status.h"

#include <cstdarg>
#include <cstdio>

namespace flipflow {

void fail(Code code, const char* format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  throw Error(code, text);
}

}  // namespace flipflow
