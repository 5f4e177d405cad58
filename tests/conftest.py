"""Shared by all tests: jaxtyping annotations are checked by beartype, real data is optional."""

from __future__ import annotations

import os
from pathlib import Path

# One thread a process: tests are small, and two OpenMP threads that wait for each other on a busy machine are
# slower than one by orders of magnitude. Before PyTorch is imported, and for every process a test starts.
os.environ["OMP_NUM_THREADS"] = "1"
# Tests start processes in other folders.
if root := os.environ.get("MAMMOSEG_DATA"):
    os.environ["MAMMOSEG_DATA"] = str(Path(root).resolve())

from jaxtyping import install_import_hook

# Before anything of the library is imported: every annotated function checks its shapes and types.
install_import_hook("mammoseg_lib", "beartype.beartype")

import pytest  # noqa: E402

REAL = ("real_inbreast", "real_busi", "real_cbis_ddsm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What reads a whole release is slow; without one it is skipped anyway."""
    for item in items:
        if not set(REAL).isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_inbreast() -> Path:
    """The folder of the real INbreast release, or a skip that says what is missing."""
    return _real("INbreast Release 1.0")


@pytest.fixture(scope="session")
def real_busi() -> Path:
    """The folder of the real BUSI release, or a skip that says what is missing."""
    return _real("Dataset_BUSI_with_GT")


@pytest.fixture(scope="session")
def real_cbis_ddsm() -> Path:
    """The folder with the real tables of CBIS-DDSM, or a skip that says what is missing."""
    return _real("CBIS-DDSM")


def _real(folder: str) -> Path:
    root = os.environ.get("MAMMOSEG_DATA")
    if not root:
        pytest.skip(f"MAMMOSEG_DATA is not set: {folder!r} is needed")
    path = Path(root) / folder
    if not path.is_dir():
        pytest.skip(f"{folder!r} is not in MAMMOSEG_DATA")
    return path.resolve()
