"""The host's end of an accelerator on a board: `Accelerator` sends images over a serial line and reads answers.

The protocol is written down in docs/link.md; hw/rtl/link is the other end of it.
"""
