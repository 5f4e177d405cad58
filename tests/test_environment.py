"""The lock, pyproject.toml and environment.yml say the same, and what is installed fits together."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement

from mammoseg_lib.paths import PROJECT

PYTHON = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "sys_platform": "linux",
    "platform_system": "Linux",
}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def requirements(project) -> dict[str, Requirement]:
    lines = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    found = {Requirement(line).name: Requirement(line) for line in lines}
    del found["mammoseg"]  # extras that hold one another
    return found


@pytest.fixture(scope="module")
def lock() -> dict[str, str]:
    """Name to version, as locked for the Python of environment.yml."""
    versions = {}
    for name, pin, marker in re.findall(
        r"^([\w.-]+)==([^ ;\\]+)(?: ; (.+?))? \\$", (PROJECT / "requirements.txt").read_text(), re.MULTILINE
    ):
        if not marker or Marker(marker).evaluate(PYTHON):
            assert name not in versions, f"{name} is locked twice"
            versions[name] = pin
    return versions


def test_the_lock_holds_every_requirement_in_its_range(requirements, lock):
    for name, requirement in requirements.items():
        assert requirement.specifier.contains(lock[name.lower()]), requirement


def test_the_lock_has_hashes_and_no_addresses():
    text = (PROJECT / "requirements.txt").read_text()
    pins = re.findall(r"^[\w.-]+==", text, re.MULTILINE)
    assert (
        len(re.findall(r"^[\w.-]+==[^\n]+\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE))
        == len(pins)
        > 100
    )
    assert "://" not in text
    assert "index-url" not in text


def test_environment_yml_pins_the_direct_requirements_as_locked(requirements, lock):
    text = (PROJECT / "environment.yml").read_text()
    entries = yaml.safe_load(text)["dependencies"]
    pip = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    pins = dict(entry.split("==") for entry in pip if entry != "-e .")
    assert pins == {name: lock[name.lower()] for name in requirements}
    assert "python=3.11" in entries


def test_environment_yml_gives_the_reason_for_every_line():
    lines = (PROJECT / "environment.yml").read_text().split("dependencies:\n")[1].splitlines()
    bare = [line for line in lines if "#" not in line and line.strip() not in ("- pip:", "")]
    assert bare == []


def test_python_versions_agree(project):
    assert project["requires-python"] == ">=3.11"


def test_what_is_installed_is_what_is_locked(requirements, lock):
    wrong = {name: version(name) for name in requirements if version(name) != lock[name.lower()]}
    assert not wrong


def test_torch_torchvision_and_smp_come_from_one_build():
    import segmentation_models_pytorch as smp
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.1]])
    # nms is the compiled operator that a mismatched pair does not have.
    assert torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0]
    assert smp.Unet("resnet18", encoder_weights=None).eval()(torch.zeros(1, 3, 32, 32)).shape == (
        1,
        1,
        32,
        32,
    )
