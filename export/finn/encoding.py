"""How bipolar tensors are written in the streamlined graph: as bits (BINARY) or as -1 and +1 (BIPOLAR)."""

from flipflow.export.finn.network import Network
from flipflow.export.finn.rewrite import IntegerNetwork, IntegerStage


def as_bits(integer: IntegerNetwork) -> set[str]:
    """The bipolar values that are bits: those that XNOR layers read, and nothing else does.

    Pools pass on what they get; so a value is bits, too, where only pools read it whose readers all want bits.
    """
    network = integer.network
    bits: set[str] = set()
    for end in reversed([network.source, *(item.stage.end for item in integer.stages)]):
        readers = [item for item in integer.stages if end in item.stage.sources]
        if readers and all(_wants_bits(item, bits) for item in readers):
            bits.add(end)
    # A pool behind a value that is not bits after all gives none either.
    for item in integer.stages:
        if _only_pools(item) and item.stage.sources[0] not in bits:
            bits.discard(item.stage.end)
    return {end for end in bits if _bipolar(integer, network, end)}


def _wants_bits(item: IntegerStage, bits: set[str]) -> bool:
    return item.xnor or (_only_pools(item) and item.stage.end in bits)


def _only_pools(item: IntegerStage) -> bool:
    return item.stage.head is None and item.thresholds.level is None


def _bipolar(integer: IntegerNetwork, network: Network, end: str) -> bool:
    if end == network.source:
        return network.first.bipolar
    item = integer.stage_of(end)
    return not item.stage.raw and item.thresholds.format.bipolar
