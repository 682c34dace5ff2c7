// Stands in front of finn-hlslib's bnn-library.h, which includes the whole library: only what FINN's MVAU, Thresholding and width
// converter call is compiled, from finn-hlslib itself. mmv.hpp has no include of ap_int.h of its own.
#ifndef FLIPFLOW_BNN_LIBRARY_H
#define FLIPFLOW_BNN_LIBRARY_H

#include <iostream>
#include <string>

#include <ap_int.h>
#include <ap_fixed.h>
#include <hls_stream.h>

using hls::stream;

#include "utils.hpp"
#include "mmv.hpp"
#include "interpret.hpp"
#include "weights.hpp"
#include "activations.hpp"
#include "mac.hpp"
#include "mvau.hpp"
#include "streamtools.h"

#endif
