"""Any feed-forward QONNX file, from Brevitas or elsewhere, to the one canonical form that both lowerings start from.

Canonical form: opset 13, one float input and one output, a single chain of nodes, batch size 1 in the annotated shapes, constants
as initializers. Before the first activation quantizer stands the host's float preamble as the file has it; after it only
`Quant`, `BipolarQuant`, `Conv` and `MatMul` (no bias; weights through a quantizer node of their own), `MaxPool`,
`BatchNormalization`, elementwise operators with scalar or per-channel constants, `Flatten` before a `MatMul`, and `Pad` (constant
-1 or +1 times the scale) before a `Conv`.
"""

from flipflow.export.importer.compare import require_same_outputs
from flipflow.export.importer.read import Source, read_model
from flipflow.export.importer.walk import canonicalize

__all__ = ["Source", "canonicalize", "read_model", "require_same_outputs"]
