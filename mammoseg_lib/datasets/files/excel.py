"""Reading Excel files that may be damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mammoseg_lib.datasets.sample import DataError, check_file

SECONDS = 20  # a whole table takes .1 s
MEMORY = 2**30  # bytes of addresses
MAX_ROWS = 10_000  # the table of INbreast has 413; one damaged cell can span a sheet that takes all memory
# Where the chain of sectors in a file is damaged, calamine may wait for ever, take all memory or abort. So it
# runs in a process of its own, which starts in .1 s, since it imports nothing else.
SCRIPT = """
import json, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except (ImportError, ValueError, OSError):  # Windows has no limits, macOS not all of them
    pass
from python_calamine import CalamineWorkbook
try:
    sheet = CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0)
    if sheet.height > int(sys.argv[3]):
        sys.exit(f"claims {sheet.height} rows")
    json.dump(sheet.to_python(), sys.stdout, default=str)
except Exception as error:
    sys.exit(str(error) or type(error).__name__)
"""


def read_sheet(path: Path) -> list[list[str]]:
    """The cells of the first sheet, as they look there.

    Raises:
        DataError: If the file is missing, no Excel file, or damaged.
    """
    check_file(path)
    command = [sys.executable, "-P", "-c", SCRIPT, str(path), str(MEMORY), str(MAX_ROWS)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DataError(path, f"is damaged: reading it takes more than {SECONDS} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        reason = lines[-1] if done.returncode == 1 and lines else f"its reader ended with {done.returncode}"
        raise DataError(path, f"cannot be read as an Excel file ({reason})")
    return [[_text(cell) for cell in row] for row in json.loads(done.stdout)]


def _text(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
