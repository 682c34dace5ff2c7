"""Sweeps: many trainings that differ in a few keys and in the seed, side by side, with one table and plots as the result."""

from flipflow.sweep.spec import Cell, Point, Sweep, read_sweep

__all__ = ["Cell", "Point", "Sweep", "read_sweep"]
