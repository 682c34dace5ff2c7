// The layers that FINN has as RTL only (sliding window, padding) and max-pooling, as C++ on FINN's streams: a word holds SIMD elements
// of Bits bits, element 0 in the low bits. A call is one frame.
#ifndef FLIPFLOW_LAYERS_HPP
#define FLIPFLOW_LAYERS_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <type_traits>
#include <vector>

#include <ap_int.h>
#include <hls_stream.h>

namespace flipflow {

// FMPadding: a map with a border of zero bits. Channels are Folds words a pixel.
template <unsigned Height, unsigned Width, unsigned Top, unsigned Left, unsigned Bottom, unsigned Right, unsigned Folds, int Word>
void pad(hls::stream<ap_uint<Word>> &in, hls::stream<ap_uint<Word>> &out) {
  for (unsigned y = 0; y < Top + Height + Bottom; ++y) {
    for (unsigned x = 0; x < Left + Width + Right; ++x) {
      bool const inside = y >= Top && y < Top + Height && x >= Left && x < Left + Width;
      for (unsigned fold = 0; fold < Folds; ++fold)
        out.write(inside ? in.read() : ap_uint<Word>(0));
    }
  }
}

// ConvolutionInputGenerator: the words of every window, taps outermost; depthwise: words of the channels outermost.
template <unsigned Height, unsigned Width, unsigned KernelH, unsigned KernelW, unsigned StrideH, unsigned StrideW, unsigned OutH,
          unsigned OutW, unsigned Folds, bool Depthwise, int Word>
void window(hls::stream<ap_uint<Word>> &in, hls::stream<ap_uint<Word>> &out) {
  static_assert((OutH - 1) * StrideH + KernelH <= Height && (OutW - 1) * StrideW + KernelW <= Width, "windows within the map");
  std::vector<ap_uint<Word>> map(Height * Width * Folds);
  for (auto &word : map)
    word = in.read();
  unsigned const outer = Depthwise ? Folds : 1, inner = Depthwise ? 1 : Folds;
  for (unsigned pixel = 0; pixel < OutH * OutW; ++pixel) {
    for (unsigned first = 0; first < outer; ++first) {
      for (unsigned tap = 0; tap < KernelH * KernelW; ++tap) {
        unsigned const y = pixel / OutW * StrideH + tap / KernelW, x = pixel % OutW * StrideW + tap % KernelW;
        for (unsigned second = 0; second < inner; ++second)
          out.write(map[(y * Width + x) * Folds + first + second]);
      }
    }
  }
}

// Pool, function MaxPool: the maximum of each element over Taps words. Element: ap_int or ap_uint.
template <unsigned Words, unsigned Taps, unsigned Elements, typename Element, int Word>
void max_pool(hls::stream<ap_uint<Word>> &in, hls::stream<ap_uint<Word>> &out) {
  for (unsigned word = 0; word < Words; ++word) {
    ap_uint<Word> best = in.read();
    for (unsigned tap = 1; tap < Taps; ++tap) {
      ap_uint<Word> const next = in.read();
      for (unsigned element = 0; element < Elements; ++element) {
        int const low = element * Element::width, high = low + Element::width - 1;
        if (Element(next(high, low)) > Element(best(high, low)))
          best(high, low) = next(high, low);
      }
    }
    out.write(best);
  }
}

// finn-hlslib's weights, BinaryWeights or FixedPointWeights, from hexadecimal words.
template <typename Weights, unsigned Pe, unsigned Tiles>
Weights filled(char const *const (&words)[Pe][Tiles]) {
  Weights weights;
  using Word = std::remove_all_extents_t<decltype(weights.m_weights)>;
  for (unsigned pe = 0; pe < Pe; ++pe) {
    for (unsigned tile = 0; tile < Tiles; ++tile)
      weights.m_weights[pe][tile] = Word(words[pe][tile], 16);
  }
  return weights;
}

// The integers of a frame, each 32 bits, in words of Elements elements of Bits bits.
template <unsigned Elements, unsigned Bits, int Word>
void feed(std::vector<std::int32_t> const &values, hls::stream<ap_uint<Word>> &out) {
  for (std::size_t first = 0; first < values.size(); first += Elements) {
    ap_uint<Word> word = 0;
    for (unsigned element = 0; element < Elements; ++element)
      word((element + 1) * Bits - 1, element * Bits) = ap_uint<Bits>(values[first + element]);
    out.write(word);
  }
}

// The reverse. Element: ap_int or ap_uint.
template <unsigned Elements, typename Element, int Word>
void drain(hls::stream<ap_uint<Word>> &in, std::vector<std::int32_t> &values) {
  for (std::size_t first = 0; first < values.size(); first += Elements) {
    ap_uint<Word> const word = in.read();
    for (unsigned element = 0; element < Elements; ++element)
      values[first + element] = Element(word((element + 1) * Element::width - 1, element * Element::width)).to_int();
  }
}

// Frames from a file of 32-bit integers through `network` to another; one line on stdout after each.
template <typename Network>
int run(int argc, char **argv, std::size_t inputs, std::size_t outputs, Network network) {
  if (argc != 4)
    return std::fprintf(stderr, "usage: %s INPUT OUTPUT FRAMES\n", argv[0]), 2;
  std::ifstream in(argv[1], std::ios::binary);
  std::ofstream out(argv[2], std::ios::binary);
  std::vector<std::int32_t> source(inputs), sink(outputs);
  long const frames = std::atol(argv[3]);
  for (long frame = 1; frame <= frames; ++frame) {
    if (!in.read(reinterpret_cast<char *>(source.data()), inputs * sizeof(std::int32_t)))
      return std::fprintf(stderr, "%s ends before frame %ld\n", argv[1], frame), 2;
    network(source, sink);
    if (!out.write(reinterpret_cast<char const *>(sink.data()), outputs * sizeof(std::int32_t)))
      return std::fprintf(stderr, "%s cannot be written\n", argv[2]), 2;
    std::printf("frame %ld\n", frame);
    std::fflush(stdout);
  }
  return out.flush() ? 0 : 2;
}

} // namespace flipflow

#endif
