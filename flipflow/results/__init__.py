"""Accuracies with their evidence: the record of each training, and rows of mean and standard deviation over seeds."""

from flipflow.results.rows import make_row, mean_and_sd, write_manifest
from flipflow.results.training import read_training, write_training
from flipflow.run.stages import TRAINING

__all__ = ["TRAINING", "make_row", "mean_and_sd", "read_training", "write_manifest", "write_training"]
