"""The losses and the networks written here need what the project requires without extras, no more."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import mammoseg_lib

ROOT = Path(mammoseg_lib.__file__).parents[1]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed() -> set[str]:
    """The distributions that the library requires without extras, and those that they require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting, found = list(project["dependencies"]), set()
    while waiting:
        requirement = waiting.pop()
        if "extra ==" in requirement:
            continue
        name = normalized(re.match(r"[\w.-]+", requirement)[0])
        if name not in found:
            found.add(name)
            try:
                waiting += metadata.requires(name) or []
            except metadata.PackageNotFoundError:  # for another platform
                continue
    return found


@pytest.fixture(scope="module")
def blocked() -> list[str]:
    """Names of all modules that are installed here, and are not in what the losses need."""
    allowed = needed()
    assert {"torch", "numpy", "scipy", "opencv-python-headless", "jaxtyping"} <= allowed
    names = [
        name
        for name, owners in metadata.packages_distributions().items()
        if name.isidentifier() and name != "mammoseg_lib" and not {normalized(o) for o in owners} & allowed
    ]
    assert {"pandas", "sklearn", "segmentation_models_pytorch", "solt", "jupyterlab", "torchvision"} <= {
        *names
    }
    return names


def run(blocked: list[str], code: str) -> None:
    block = f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"
    done = subprocess.run(
        [sys.executable, "-c", block + code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_loss_works_without_the_rest(blocked):
    from tests.losses.cases import OPTIONS

    options = {name: rows[0] for name, rows in OPTIONS.items()}
    run(
        blocked,
        f"""
import numpy as np, torch
from mammoseg_lib.losses import LOSSES, Batch, build_loss
from mammoseg_lib.losses.properties import properties
masks = np.zeros((8, 32, 32), bool)
for size, mask in enumerate(masks, start=2):
    mask[4 : 4 + size, 4 : 4 + size] = True
batch = Batch(torch.from_numpy(masks)[:, None], acr_density=torch.ones(8), spacing_mm=torch.ones(8, 2))
for name in LOSSES:
    loss = build_loss(name, **{options!r}.get(name, {{}}))
    loss.fit_targets(masks)
    logits = torch.zeros(8, 1, 32, 32, requires_grad=True)
    loss(logits, batch).sum().backward()
    assert logits.grad.isfinite().all(), name
assert all(each.holds is not False for each in properties(build_loss("dice"), speed=False))
""",
    )


@pytest.mark.slow
def test_the_networks_written_here_work_without_the_rest(blocked):
    run(
        blocked,
        """
import torch
from mammoseg_lib.models import build_model
for name in ("aunet", "arfnet", "resnet22_unet", "resnet22_fpn"):
    model = build_model(name, base_width=8).eval()
    assert model(torch.zeros(1, 1, 64, 64)).shape == (1, 1, 64, 64)
""",
    )


def test_what_is_blocked_cannot_be_imported(blocked):
    with pytest.raises(AssertionError, match="ModuleNotFoundError: import of pandas halted"):
        run(blocked, "import pandas")
