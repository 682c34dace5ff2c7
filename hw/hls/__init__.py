"""The network as FINN's HLS layers: the graph for FINN's builder, and the C++ that simulates it."""
