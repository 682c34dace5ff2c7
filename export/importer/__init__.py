"""Any feed-forward QONNX file, from Brevitas or elsewhere, to the one canonical form that both lowerings start from.

Canonical form: opset 13, one float input and one output, batch size 1 in the annotated shapes, constants as initializers. Before
the first activation quantizer stands the host's float preamble, a chain of nodes as the file has it; after it only `Quant`,
`BipolarQuant`, `Conv` and `MatMul` (no bias; weights through a quantizer node of their own), `MaxPool`, `BatchNormalization`,
elementwise operators with scalar or per-channel constants, `Flatten` before a `MatMul`, `Pad` (constant -1 or +1 times the scale)
before a `Conv`, sums and averages of quantized maps (`ReduceSum`, `ReduceMean`, `GlobalAveragePool`, `AveragePool`), and `Add` of
two tensors that are quantized with the same scale. Any tensor behind the first quantizer may have several readers.
"""

from flipflow.export.importer.compare import require_same_outputs
from flipflow.export.importer.read import Source, read_model
from flipflow.export.importer.walk import canonicalize

__all__ = ["Source", "canonicalize", "read_model", "require_same_outputs"]
