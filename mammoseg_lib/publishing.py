"""Where outputs go: under figures/ what the repository shows, under figures/mine/ all else.

What the repository shows is written by `mammoseg run-notebooks` with the parameters that the repository
states, and by nothing else. Whoever runs a notebook in JupyterLab or nbval, or with a parameter of their own,
writes to figures/mine/, which git ignores: no picture of the README changes under their hands.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mammoseg_lib import paths

PUBLISH = "MAMMOSEG_PUBLISH"


@contextmanager
def publishing(publish: bool) -> Iterator[None]:
    """Kernels started in this block write what the repository shows, or else to figures/mine/."""
    before = os.environ.pop(PUBLISH, None)
    if publish:
        os.environ[PUBLISH] = "1"
    try:
        yield
    finally:
        os.environ.pop(PUBLISH, None)
        if before is not None:
            os.environ[PUBLISH] = before


def output_folder(*, real: bool = False, trained: bool = False) -> Path:
    """Where outputs go: figures/ where the repository's own are made, else figures/mine/.

    Two folders of figures/ are ignored by git: real/, which may show images of patients, and trained/, whose
    content depends on networks that were trained on the machine at hand.
    """
    if not os.environ.get(PUBLISH):
        return paths.figures() / "mine"
    if trained and not real:
        return paths.figures() / "trained"
    return paths.figures(real=real)
