"""The command line: `mammoseg data | train | results | tables | run-notebooks | show | site | try`.

What needs PyTorch is imported inside the command that uses it, so that `--help` answers at once.
"""

import sys

INTERRUPTED = 130


def main() -> None:
    """Entry point: known errors as one line, never a traceback, and from the first moment on."""
    try:
        from mammoseg_lib.cli.app import main as run

        run()
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:  # what typer makes of an interruption
            raise
        print("interrupted; what was finished is kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
