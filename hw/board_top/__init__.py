"""The top level of a bitstream: an accelerator with clock, reset and host link, for a board."""

from flipflow.hw.board_top.generate import board_top, clock_of
from flipflow.hw.board_top.pll import Clock, plan_clock

__all__ = ["Clock", "board_top", "clock_of", "plan_clock"]
