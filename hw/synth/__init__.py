"""Synthesis with Yosys (pyosys): RTL to a netlist of one FPGA family, and the area of every kernel in it."""
