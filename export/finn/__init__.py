"""Lowering (b): QONNX to FINN's streamlined graph, exact to the bit. See `flipflow.export.finn.streamline`."""
