"""`python -m flipflow` is the command line."""

from flipflow.cli import main

main()
