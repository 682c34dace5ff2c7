"""Other ways from a built network to a bitstream than this project's own RTL."""

from flipflow.hw.backends.finn import finn_hls

__all__ = ["finn_hls"]
