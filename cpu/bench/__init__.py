"""Benchmarks of the CPU engine beside onnxruntime (fp32, int8) and torch (fp32): what `flipflow bench` runs.

networks.py draws deployable ResNets; float_graph.py, float_onnx.py, float_torch.py and quantize.py make the peers' models;
peers.py and engines.py make things that can be called; runner.py times them; kernels.py times single convolutions;
tables.py and plot.py show what was found.
"""
