"""From a trained network to files that hardware can be made of: QONNX, `check`, and the two independent lowerings.

`torch_export` and `importer` give the canonical `model.qonnx.onnx`. From there, `integer` (own lowering, for the NumPy
reference and CPU kernels) and `finn` (FINN's streamlining, for the RTL) share no code, so that their agreement is evidence.
"""
