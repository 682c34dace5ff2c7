"""Proofs that a kernel's netlist is its RTL: for every input sequence, not for the simulated ones alone."""

from flipflow.hw.formal.equivalence import Proof, prove

__all__ = ["Proof", "prove"]
