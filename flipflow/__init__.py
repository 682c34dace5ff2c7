"""flipflow: a binary neural network from training to hardware without losing a bit."""

__version__ = "0.1.0"
