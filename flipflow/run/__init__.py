"""Runs: their directory, their manifest, and the stages that fill them."""
