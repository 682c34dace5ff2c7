// AXI-Stream words as finn-hlslib's adapters name them: Vitis HLS has them, the free ap_types headers do not. No layer of a network
// uses them.
#ifndef FLIPFLOW_AP_AXI_SDATA_H
#define FLIPFLOW_AP_AXI_SDATA_H

#include <ap_int.h>

template <int Width, int User, int Id, int Dest>
class qdma_axis {
  ap_uint<Width> data_;
  ap_uint<(Width + 7) / 8> keep_;
  ap_uint<1> last_;

public:
  ap_uint<Width> get_data() const { return data_; }
  ap_uint<(Width + 7) / 8> get_keep() const { return keep_; }
  ap_uint<1> get_last() const { return last_; }
  void set_data(ap_uint<Width> const &data) { data_ = data; }
  void set_keep(ap_uint<(Width + 7) / 8> const &keep) { keep_ = keep; }
  void set_last(ap_uint<1> const &last) { last_ = last; }
};

template <int Width, int User, int Id, int Dest>
struct ap_axiu {
  ap_uint<Width> data;
  ap_uint<(Width + 7) / 8> keep;
  ap_uint<(Width + 7) / 8> strb;
  ap_uint<1> last;
};

template <int Width, int User, int Id, int Dest>
struct ap_axis {
  ap_int<Width> data;
  ap_uint<(Width + 7) / 8> keep;
  ap_uint<(Width + 7) / 8> strb;
  ap_uint<1> last;
};

#endif
