"""Folding as a problem of choice: every layer's legal foldings with what they cost, and what joins two foldings of neighbours.

A choice of a layer fixes PE, SIMD and where its ROMs lie. Its cost is that of the layer's kernels and of the FIFO in front of
each; all come from the kernels' own estimates, so they are those of the stitched accelerator with FIFOs at their first depths.
Neighbours whose beats differ need width converters with FIFOs: a cost of the pair (elements a beat out, elements a beat in).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flipflow.hw.fold_cost import Cost
from flipflow.hw.fold_layers import Knobs


@dataclass(frozen=True)
class Choice:
    """A folding of a layer. into, out: elements a beat it takes and gives. cycles: a frame takes. cost: with the FIFOs in front
    of its kernels.
    """

    knobs: Knobs
    into: int
    out: int
    cycles: int
    cost: Cost


@dataclass(frozen=True)
class Joint:
    """What joins a beat size to another: one gearbox, which takes `cycles` a frame, or two over the common multiple."""

    cycles: int
    single: Cost
    double: Cost

    def cost(self, pace: int) -> Cost:
        """What the stitching takes in a pipeline of at most `pace` cycles a frame: the single one where it is fast enough."""
        return self.single if self.cycles <= pace else self.double


@dataclass(frozen=True)
class Edge:
    """A stream from a layer to another, by their indices. joints: for every pair (elements a beat out, in) that differ."""

    source: int
    target: int
    joints: Mapping[tuple[int, int], Joint]

    def cost(self, out: int, into: int, pace: int) -> Cost:
        """What joins beats of `out` elements to beats of `into`."""
        return Cost() if out == into else self.joints[out, into].cost(pace)


@dataclass(frozen=True)
class Problem:
    """The choices of every layer, and the streams between layers."""

    names: tuple[str, ...]
    choices: tuple[tuple[Choice, ...], ...]
    edges: tuple[Edge, ...]

    @property
    def fastest(self) -> int:
        """Cycles a frame of the slowest layer where every layer is as fast as it can be."""
        return max(min(choice.cycles for choice in each) for each in self.choices)

    @property
    def paces(self) -> list[int]:
        """All cycles a frame at which more becomes possible, rising: those of a choice, or of a gearbox that joins two."""
        layers = {choice.cycles for each in self.choices for choice in each}
        joints = {joint.cycles for edge in self.edges for joint in edge.joints.values() if joint.single != joint.double}
        return sorted(cycles for cycles in layers | joints if cycles >= self.fastest)

    def cost(self, picks: Sequence[Choice], pace: int) -> Cost:
        """Of one choice for every layer, joined for a pipeline of at most `pace` cycles a frame."""
        joints = (edge.cost(picks[edge.source].out, picks[edge.target].into, pace) for edge in self.edges)
        return sum(joints, sum((choice.cost for choice in picks), Cost()))

    def cycles(self, picks: Sequence[Choice], pace: int) -> int:
        """Cycles a frame of the slowest kernel, gearboxes included."""
        pairs = ((edge, picks[edge.source].out, picks[edge.target].into) for edge in self.edges)
        joints = [edge.joints[out, into].cycles for edge, out, into in pairs if out != into]
        return max(*(choice.cycles for choice in picks), *(cycles for cycles in joints if cycles <= pace), 0)
