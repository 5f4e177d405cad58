"""The command line: `mammoseg data | train | results | tables | run-notebooks | show | site | try`.

What needs PyTorch is imported inside the command that uses it, so that `--help` answers at once.
"""

from mammoseg_lib.cli.app import main

__all__ = ["main"]
