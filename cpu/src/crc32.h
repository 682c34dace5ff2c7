// CRC-32 with zlib's polynomial, so that Python's zlib.crc32 gives the same value.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flipflow {

// The checksum of `bytes` bytes, going on from `seed` (the checksum of what came before; 0 at the start).
uint32_t crc32(const void* data, size_t bytes, uint32_t seed = 0);

}  // namespace flipflow
