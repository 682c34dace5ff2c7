# Cross-builds for 64-bit ARM Linux with Debian's g++-aarch64-linux-gnu (its C library and, unless clang is there, its compiler).
#   cmake -S cpu -B build/arm -DCMAKE_TOOLCHAIN_FILE=cpu/arm/toolchain-aarch64.cmake
# clang schedules the kernels better and is taken where it is found: -DFLIPFLOW_ARM_COMPILER=gcc keeps to g++.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(FLIPFLOW_ARM_COMPILER "auto" CACHE STRING "auto, clang or gcc")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FLIPFLOW_ARM_COMPILER)
if(NOT FLIPFLOW_ARM_COMPILER STREQUAL "gcc")
  find_program(FLIPFLOW_CLANG NAMES clang++-19 clang++)
endif()
if(FLIPFLOW_CLANG)
  set(CMAKE_CXX_COMPILER ${FLIPFLOW_CLANG})
  set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
elseif(FLIPFLOW_ARM_COMPILER STREQUAL "clang")
  message(FATAL_ERROR "no clang++: apt install clang-19, or -DFLIPFLOW_ARM_COMPILER=gcc")
else()
  set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
endif()

set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-cpu;max)
