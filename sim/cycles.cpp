#include <nanobind/nanobind.h>
namespace nb = nanobind;
NB_MODULE(_cycles, m) { m.def("x", []() { return 1; }); }
