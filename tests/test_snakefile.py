"""What makes `make figures` run something again, on a copy of the project with one small notebook."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from mammoseg_lib.paths import PROJECT

NAME = "00_tiny"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    shutil.copy(PROJECT / "Snakefile", root)
    shutil.copytree(
        PROJECT / "mammoseg_lib", root / "mammoseg_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    (root / "notebooks").mkdir()
    shutil.copytree(PROJECT / "notebooks" / "profiles", root / "notebooks" / "profiles")
    content = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    parameters = nbformat.v4.new_code_cell("n: int = 1  # a number")
    parameters.metadata["tags"] = ["parameters"]
    content.cells = [
        nbformat.v4.new_markdown_cell("# Tiny"),
        parameters,
        nbformat.v4.new_code_cell("print(n)"),
    ]
    nbformat.write(content, root / "notebooks" / f"{NAME}.ipynb")
    # The phantoms are there already: this is about notebooks.
    (root / "data" / "phantoms").mkdir(parents=True)
    (root / "data" / "phantoms" / "inbreast-120.txt").write_text("made by hand\n")
    _snakemake(root)
    assert (root / "figures" / NAME / "executed.ipynb").exists()
    return root


def _snakemake(root, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAMMOSEG")}
    environment["PYTHONPATH"] = str(root)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def _planned(root) -> str:
    return _snakemake(root, "--dry-run")


def _change(root, edit) -> None:
    path = root / "notebooks" / f"{NAME}.ipynb"
    content = nbformat.read(path, 4)
    edit(content)
    nbformat.write(content, path)
    os.utime(path)


def test_nothing_is_left_to_do_after_a_run(project):
    assert "Nothing to be done" in _planned(project)


def test_a_mere_save_reruns_nothing(project):
    def save(content):
        content.cells[-1].execution_count = 7
        content.cells[-1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
        content.cells[0].source += "\n\nSome prose."
        content.metadata["widgets"] = {}

    _change(project, save)
    assert "Nothing to be done" in _planned(project)


def test_a_change_of_its_code_reruns_the_notebook(project):
    def edit(content):
        content.cells[-1].source = "print(n + 1)"

    _change(project, edit)
    plan = _planned(project)
    assert NAME in plan
    assert "Params have changed" in plan
    _snakemake(project)
    assert "Nothing to be done" in _planned(project)


def test_a_change_of_the_library_reruns_what_uses_it(project):
    path = project / "mammoseg_lib" / "paths.py"
    path.write_text(path.read_text() + "\nADDED = 1\n")
    assert NAME in _planned(project)


def test_the_project_plans_data_runs_and_notebooks(tmp_path):
    environment = {**os.environ, "MAMMOSEG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run"]
    plan = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    needs = {}
    for rule, block in re.findall(r"rule (\w+):\n((?: {4}.+\n)+)", plan.stdout + plan.stderr):
        output = re.search(r"output: (.+)", block)
        if output:
            needs[output[1]] = (rule, re.search(r"input: (.+)|$", block)[1] or "")
    trained = [name for name, (rule, _) in needs.items() if rule == "train"]
    assert trained
    for study, phantoms in {
        "spatial_matching": "inbreast-120",
        "density_asp.theta": "inbreast-120",
        "density_asp.cbis": "cbis_ddsm-80",
        "boundary_ultrasound": "busi-80",
        "encoder_decoders": "folder-32",
    }.items():
        inputs = {needs[name][1] for name in trained if f"/{study}/" in name}
        assert inputs == {f"data/phantoms/{phantoms}.txt"}
        assert needs[f"data/phantoms/{phantoms}.txt"] == ("phantoms", "")
    readers = {
        "20_train_spatial_matching": ("spatial_matching/",),
        "22_train_boundary_loss": ("boundary_ultrasound/", "boundary_ultrasound.as_printed/"),
        "23_train_encoder_decoders": ("encoder_decoders/",),
        "30_ablation_grid_size": ("spatial_matching.grid_size/",),
        "33_density_weights": ("density_asp.theta/",),
    }
    for notebook, studies in readers.items():
        rule, inputs = needs[f"figures/{notebook}/executed.ipynb"]
        assert rule == "notebook"
        own = {name for name in trained if any(f"/{study}" in name for study in studies)}
        assert own
        assert set(inputs.split(", ")) & set(trained) == own
