// Names of AXI-Stream words that finn-hlslib's headers mention: Vitis HLS has them, the free ap_types headers do not. Nothing here
// uses them.
#ifndef FLIPFLOW_AP_AXI_SDATA_H
#define FLIPFLOW_AP_AXI_SDATA_H

#include <ap_int.h>

template <typename T, int U = 0, int I = 0, int D = 0>
struct qdma_axis;

template <int Width, int U, int I, int D>
struct ap_axiu {
  ap_uint<Width> data;
  ap_uint<(Width + 7) / 8> keep;
  ap_uint<(Width + 7) / 8> strb;
  ap_uint<1> last;
};

template <int Width, int U, int I, int D>
struct ap_axis {
  ap_int<Width> data;
  ap_uint<(Width + 7) / 8> keep;
  ap_uint<(Width + 7) / 8> strb;
  ap_uint<1> last;
};

#endif
