"""What makes `make figures` run something again, on a copy of the project with one small notebook.

The copy and its virtual environment lie below a folder with a space in its name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra

from mammoseg_lib.notebooks import available
from mammoseg_lib.paths import PROJECT
from mammoseg_lib.studies import load_study, read_by, study_names

pytestmark = pytest.mark.slow

NAME = "00_tiny"
STUDY = {
    "title": "Tiny",
    "own": {"dice": {"label": "Dice", "loss": "dice", "model": {"name": "aunet", "base_width": 8}}},
    "methods": ["dice"],
    "data": {"n_images": 10, "phantom_size": 32, "image_size": 16},
    "training": {"epochs": 1},
    "profiles": {"demo": {}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project") / "my folder" / "mammoseg"
    venv.create(root / ".venv")
    borrowed = Path(sysconfig.get_path("purelib", "venv", {"base": str(root / ".venv")}), "borrowed.pth")
    borrowed.write_text(sysconfig.get_path("purelib") + "\n")
    shutil.copy(PROJECT / "Snakefile", root)
    shutil.copytree(
        PROJECT / "mammoseg_lib", root / "mammoseg_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (root / "mammoseg_lib" / "studies").glob("*.yaml"):
        path.unlink()
    (root / "mammoseg_lib" / "studies" / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    (root / "notebooks").mkdir()
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
    _snakemake(root)
    assert (root / "figures" / NAME / "executed.ipynb").exists()
    return root


def _snakemake(root, *arguments: str, status: int = 0) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAMMOSEG")}
    environment["PYTHONPATH"] = str(root)
    python = Path(sysconfig.get_path("scripts", "venv", {"base": str(root / ".venv")}), "python")
    command = [python, "-m", "snakemake", "--cores", "1", *arguments]
    result = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    said = result.stdout + result.stderr
    assert result.returncode == status, said
    return said


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


def test_a_comment_in_the_library_reruns_nothing(project):
    _snakemake(project)
    path = project / "mammoseg_lib" / "paths.py"
    path.write_text(path.read_text() + "\n# A comment.\n")
    assert "Nothing to be done" in _planned(project)


def test_training_runs_in_a_folder_with_a_space(project):
    record = "data/runs/records/demo.json"
    _snakemake(project, record)
    (run,) = json.loads((project / record).read_text())
    assert (project / "data" / "runs" / run / "history.csv").exists()


def test_a_profile_that_there_is_not_is_told(project):
    said = _snakemake(project, "--dry-run", "--config", "profile=papr", status=1)
    assert "profile='papr' is not one of 'demo', 'reduced', 'paper'; did you mean 'paper'?" in said


def _plan_of(home, *arguments: str) -> dict[str, tuple[str, str, str]]:
    """Output to rule, inputs and the whole text of the job, of what would be done in a bare place."""
    environment = {**os.environ, "MAMMOSEG_HOME": str(home)}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--printshellcmds", *arguments]
    plan = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert plan.returncode == 0, plan.stderr
    jobs = {}
    for rule, block in re.findall(
        r"rule (\w+):\n((?: {4}.+\n)+Shell command: .+)", plan.stdout + plan.stderr
    ):
        if output := re.search(r"output: (.+)", block):
            jobs[output[1]] = (rule, re.search(r"input: (.+)|$", block)[1] or "", block)
    return jobs


def test_a_demo_trains_all_studies_in_one_call_and_notebooks_that_read_runs_wait(tmp_path):
    jobs = _plan_of(tmp_path / "a place with spaces")
    studies = [name for name in study_names() if "demo" in load_study(name).file.profiles]
    record = "data/runs/records/demo.json"
    assert [name for name, (rule, *_) in jobs.items() if rule == "train_demo"] == [record]
    assert f" train {' '.join(studies)} --profile demo --jobs 2 --record {record}" in jobs[record][-1]
    assert {name for name, (rule, *_) in jobs.items() if rule == "notebook"} == {
        f"figures/{name}/executed.ipynb" for name in available()
    }
    for notebook in available():
        waits = record in jobs[f"figures/{notebook}/executed.ipynb"][1].split(", ")
        assert waits == bool(read_by(notebook, "demo"))


class Resources(dict):
    __getattr__ = dict.get


def test_on_a_cluster_each_run_of_the_paper_is_a_job_with_a_gpu_and_memory(tmp_path):
    target = "data/runs/records/paper/spatial_matching/dice_bce-fold3-seed0.json"
    options = ("--executor", "slurm", "--jobs", "2", "--config", "profile=paper")
    jobs = _plan_of(tmp_path, target, *options)
    assert list(jobs) == [target]
    rule, _, text = jobs[target]
    assert rule == "train_run"
    assert "mem_mb=16000" in text
    # What the executor makes of it when it hands the job in, which a dry run does not do.
    resources = Resources(re.findall(r"(\w+)=([^,\n]*)", re.search(r"resources: (.+)", text)[1]))
    job = SimpleNamespace(resources=resources)
    validate_slurm_extra(job)
    assert set_gres_string(job) == " --gres=gpu:1"
    jobs = _plan_of(tmp_path, "figures/real/22_train_boundary_loss/executed.ipynb", *options)
    trained = [name for name, (rule, *_) in jobs.items() if rule == "train_run"]
    studies = read_by("22_train_boundary_loss", "paper")
    assert len(trained) == sum(len(study.plan("paper")) for study in studies)
