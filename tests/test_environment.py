"""The lock, pyproject.toml and environment.yml say the same, and what is installed fits together."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

from mammoseg_lib.paths import PROJECT

PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def locked(python: str | None = None) -> dict[str, str]:
    """Name to version, as locked for a version of Python on Linux, or for the Python that runs this."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }
    versions = {}
    for name, pin, marker in re.findall(
        r"^([\w.-]+)==([^ ;\\]+)(?: ; (.+?))? \\$", (PROJECT / "requirements.txt").read_text(), re.MULTILINE
    ):
        if not marker or Marker(marker).evaluate(environment if python else None):
            assert name not in versions, f"{name} is locked twice"
            versions[name] = pin
    return versions


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def make(*arguments: str, venv: object) -> list[str]:
    """The commands that make would run, without those that only look whether something is there."""
    done = subprocess.run(
        ["make", "--dry-run", *arguments, f"VENV={venv}"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    commands = re.sub(r"\\\n\s*", "", done.stdout).splitlines()
    return [command for command in commands if not command.startswith(("test ", "touch "))]


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
    """As locked for the Python of environment.yml."""
    return locked("3.11")


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_every_requirement_in_its_range(requirements, python):
    lock = locked(python)
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


def test_what_is_installed_is_what_is_locked(requirements):
    lock = locked()
    installed = {name: Version(version(name)).public for name in requirements}  # torch 2.15.0+cpu is 2.15.0
    assert installed == {name: lock[name.lower()] for name in requirements}


@needs_make
def test_make_without_cuda_leaves_out_cuda_and_nothing_else(lock, tmp_path):
    commands = make("figures", "CPU=1", venv=tmp_path)
    (names,) = [line for line in commands if line.startswith("sed ")]
    subprocess.run(names, shell=True, cwd=PROJECT, check=True)
    excluded = set((tmp_path / "not-on-cpu.txt").read_text().split())
    assert {"torch", "torchvision", "triton", "nvidia-cudnn-cu13"} <= excluded
    assert not re.search(r"nvidia|cuda|^torch$|triton", "\n".join(lock.keys() - excluded), re.MULTILINE)
    # What is left out is what torch alone asks for.
    asked = re.findall(
        r"^([\w.-]+)==.*\n(?:    --.*\n)*((?:    #.*\n)+)",
        (PROJECT / "requirements.txt").read_text(),
        re.MULTILINE,
    )
    users = {name: set(re.findall(r"#\s+(?:via )?([\w-]+)", text)) - {"via"} for name, text in asked}
    assert all(users[name] <= excluded for name in excluded - {"torch", "torchvision"})
    (pair,) = [line for line in commands if "--torch-backend cpu" in line]
    pins = subprocess.run(
        f"echo {pair[pair.index('$(') :]}",
        shell=True,
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert pins.split() == [f"{name}=={lock[name]}" for name in ("torch", "torchvision")]


@needs_make
def test_the_readme_spells_out_what_make_does():
    """For Windows, and wherever else there is no make."""
    block = re.search(r"Without `make`.*?```sh\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)[1]
    told = [line.partition("#")[0].strip() for line in block.replace("\\\n", " ").splitlines()]
    venv, activate, *told = [" ".join(line.split()) for line in told]
    assert (venv, activate) == ("python -m venv .venv", r".venv\Scripts\activate")
    goals = ("figures", "lab", "site", "test", "bench", "lint", "notebooks")
    assert told == [_activated(line) for line in make(*goals, "CORES=2", venv="V") if "V/bin" in line]


def _activated(command: str) -> str:
    """A command of the Makefile as one says it in a virtual environment that is activated."""
    command = command.replace(" --python V/bin/python", "").partition("V/bin/")[2].partition(";")[0].strip()
    if " install" in command:
        command = command.replace(" --quiet", "").replace(" --disable-pip-version-check", "")
    return re.sub(r"\$\(sed .*\)", f"uv=={locked()['uv']}", command)


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
