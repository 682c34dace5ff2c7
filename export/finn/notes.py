"""What a lowering rewrote, in words."""

from flipflow.export.finn.network import Join
from flipflow.export.finn.rewrite import IntegerNetwork, IntegerStage


def rewrites(integer: IntegerNetwork) -> list[str]:
    """A line for every change: thresholds, falling channels, moved pools, saturations, borders."""
    notes = []
    for item in integer.stages:
        name = _name(integer, item)
        notes += _about(name, item)
    layers = [item.layer for item in integer.layers if item.layer is not None]
    notes += [f"{layer.name}: border {layer.pad_kind}" for layer in layers if layer.pad_kind != "none"]
    return notes


def _name(integer: IntegerNetwork, item: IntegerStage) -> str:
    if item.stage.head is not None:
        return item.stage.head.name
    return "input" if item is integer.stages[0] else item.stage.end


def _about(name: str, item: IntegerStage) -> list[str]:
    notes, thresholds = [], item.thresholds
    if item.clamp is not None:
        notes.append(f"{name}: saturates to {item.clamp.low}..{item.clamp.high}")
    elif isinstance(item.stage.head, Join):
        notes.append(f"{name}: keeps all bits of the sum")
    if thresholds.level is not None and item.clamp is None:
        channels, count = thresholds.level.shape
        notes.append(f"{name}: activation chain replaced by {channels} x {count} exact thresholds")
    if thresholds.falling.any():
        how = "mirrored by negated weights" if item.layer is not None else "inverted"
        notes.append(f"{name}: {int(thresholds.falling.sum())} falling channels {how}")
    for pool in thresholds.pools:
        low = int(pool.minimum.sum())
        notes.append(f"{name}: {pool.node.name or 'MaxPool'} after the thresholds, minimum in {low} channels")
    return notes
