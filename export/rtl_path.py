"""Which networks the RTL path takes: plain chains. Others deploy to the integer net and the CPU, and say so."""

from flipflow.errors import FlipflowError
from flipflow.export.integer.graph import SUM_POOLS, CanonicalGraph

_REMEDY = "Verify it at the levels torch, qonnx, integer and cpu, or take a network whose layers form a single chain."


def off_rtl_path(graph: CanonicalGraph) -> FlipflowError | None:
    """E252 or E254 for a network that deploys exactly, but not to hardware; None where hardware takes it."""
    joins = [node for node in graph.nodes if len(graph.data_inputs(node)) > 1]
    forks = sum(count > 1 for count in graph.readers.values())
    if joins or forks:
        what = f"it branches ({forks} forks, {len(joins)} additions), and branches are not on the RTL path yet."
        where = joins[0] if joins else next(node for node in graph.nodes if graph.readers[node.output[0]] > 1)
        return FlipflowError("E252", what, f"{where.op_type} node {where.doc_string!r}", _REMEDY)
    pool = next((node for node in graph.nodes[graph.first_quantizer :] if node.op_type in SUM_POOLS), None)
    if pool is not None:
        what = "sums and averages over a map are not on the RTL path yet."
        return FlipflowError("E254", what, f"{pool.op_type} node {pool.doc_string!r}", _REMEDY)
    return None
