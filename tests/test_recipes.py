"""The recipes of CONTRIBUTING.md, followed; that for a loss has a test of its own, in tests/losses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch

from mammoseg_lib import paths, reports
from mammoseg_lib.datasets import DataError, Problem, Reader, Sample, sample_table
from mammoseg_lib.models import MODELS, build_model
from mammoseg_lib.phantoms.writer import Writer
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.reports import claims
from mammoseg_lib.results import load_results
from mammoseg_lib.runs import execute
from mammoseg_lib.sources import SOURCES, DataSet, open_source
from mammoseg_lib.studies import load_study, study_names

pytestmark = pytest.mark.slow


def _toy(in_channels: int, width: int = 4) -> torch.nn.Module:
    layers = (torch.nn.Conv2d(in_channels, width, 3, padding=1), torch.nn.Conv2d(width, 1, 1))
    return torch.nn.Sequential(*layers)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_is_a_factory_in_models(monkeypatch, channels):
    monkeypatch.setitem(MODELS, "toy", _toy)
    model = build_model("toy", in_channels=channels, width=2)
    assert model(torch.zeros(2, channels, 16, 24)).shape == (2, 1, 16, 24)
    assert model.start["weights"] == "none"
    with pytest.raises(ValueError, match="no option 'widht'; it takes 'width'; did you mean 'width'"):
        build_model("toy", widht=2)


# A reader and a phantom writer, as they would stand in modules of the data set's name. -------------------


def write(root, *, n_images, size, seed, population="realistic", progress=False):
    root.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(n_images):
        image = random.random((size, size))
        np.save(root / f"{number}.npy", [image, image > 0.9])
    return root


def files(root):
    return sorted(root.glob("*.npy"))


def scan(root, run_map=map):
    rows, problems = [], []
    for path in files(root):
        try:
            n = int(_read(path)[1].any())
            rows.append({"sample_id": path.stem, "image_path": str(path), "n_masses": n})
        except DataError as error:
            problems.append(Problem.broken(error))
    return sample_table(rows), problems


def select(table, *, with_masses=None):
    return table if with_masses is None else table[(table["n_masses"] > 0) == with_masses]


def index(root, **filters):
    return select(scan(root)[0], **filters)


def load(row):
    image, mask = _read(Path(row["image_path"]))
    return Sample(image.astype(np.float32), mask > 0, None)


def disagreements(root, table):
    return {}


def _read(path):
    try:
        return np.load(path)
    except ValueError as error:
        raise DataError(path, "is no array") from error


@pytest.fixture
def toy(monkeypatch, tmp_path):
    reader = SimpleNamespace(
        FOLDER="Toy 1.0", WHOLE={}, MASSES_DIGEST="", files=files, scan=scan, select=select, index=index,
        load=load, disagreements=disagreements,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mammoseg_lib.datasets.toy", reader)
    monkeypatch.setitem(sys.modules, "mammoseg_lib.phantoms.toy", SimpleNamespace(write=write))
    monkeypatch.setitem(SOURCES, "toy", DataSet("toy", "unknown"))
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    return reader


def test_a_data_set_is_a_reader_a_writer_and_a_line_in_sources(toy):
    assert isinstance(toy, Reader)
    assert isinstance(write, Writer)
    source = open_source("toy", phantoms=True, n_images=3, size=32)
    files(source.root)[1].write_text("damaged")
    prepared = prepare(source, Preprocessing(size=16, crop="none"), jobs=1, with_masses=True)
    assert prepared.table["sample_id"].tolist() == ["0", "2"]
    assert prepared.images.shape == (2, 16, 16)
    assert [(Path(each.path).name, each.reason) for each in prepared.problems] == [("1.npy", "is no array")]


# A paper: its file, and a study of the same name. ----------------------------------------------------------

PAPER = """
title: "A toy"
cite: "999"
venue: "nowhere"
url: "https://example.org"
aggregate: micro
aggregate_reason: "stated"
hyperparameters:
  - {name: data.source, value: inbreast, section: "2", quote: "on INbreast"}
  - {name: data.n_folds, value: 2, section: "2", quote: "two folds"}
  - {name: data.protocol, value: patient_folds, reason: "Not stated."}
  - {name: preprocessing.size, value: 32, section: "2", quote: "32 pixels"}
  - {name: preprocessing.crop, value: breast, reason: "Not stated."}
  - {name: model.name, value: aunet, section: "2", quote: "AU-Net"}
  - {name: model.base_width, value: 8, reason: "Not stated."}
  - {name: training.epochs, value: 1, section: "2", quote: "one epoch"}
  - {name: training.batch_size, value: 4, section: "2", quote: "four"}
methods:
  plain: {label: "BCE", loss: {name: bce}}
  better: {label: "Dice", loss: {name: dice}}
tables:
  - {id: "Table 1", title: "DSC", headers: [DSC], metrics: [dsc], units: ["%"], blocks: [""],
     rows: [{row: "BCE", plain: "50.0"}, {row: "Dice", better: "60.0"}]}
claims:
  - {id: dice_is_better, section: "3", quote: "Dice is better", study: toy, arms: better, against: plain,
     table: "Table 1", printed: {dsc: "+10.0"}}
notes: []
"""
STUDY = """
title: "A toy on phantoms"
question: "Is Dice better?"
paper: toy
methods: [plain, better]
profiles:
  demo: {data: {phantoms: true, population: easy, n_images: 10}, folds: [0, 1]}
  reduced: {data: {phantoms: false}, folds: [0, 1]}
"""


def test_a_paper_is_a_file_and_a_study_of_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    for name, text in (("PAPERS", PAPER), ("STUDIES", STUDY)):
        folder = shutil.copytree(
            getattr(paths, name), tmp_path / name, ignore=shutil.ignore_patterns("*.py*")
        )
        (folder / "toy.yaml").write_text(text)
        monkeypatch.setattr(paths, name, folder)
    assert "toy" in study_names()
    study = load_study("toy")
    for config in study.plan("demo"):
        execute(config, device="cpu")
    page = reports.text(study, load_results(study, "demo"))
    assert "| BCE | 50.0 |" in page
    assert "reduced: inbreast phantoms, 32 px, base width 8, 1 epoch, 2 folds, 1 seed" in page
    ledger = claims.ledger(["toy"])
    assert ledger[["claim", "printed", "verdict"]].to_numpy().tolist() == [
        ["dice_is_better", "+10.0", "not run yet"]
    ]


# A metric and a figure: the library as it would be after the recipe, in a copy. ----------------------------


@pytest.fixture
def project(tmp_path):
    """A copy of the library that a test may edit."""
    leave = shutil.ignore_patterns("__pycache__")
    shutil.copytree(paths.LIBRARY, tmp_path / "project" / "mammoseg_lib", ignore=leave)
    return tmp_path / "project"


def run(project, *arguments, **environment):
    """What Python prints with the library of that project."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAMMOSEG")}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**own, "PYTHONPATH": str(project), **environment},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_metric_is_a_function_and_a_column_and_nothing_is_trained_again(monkeypatch, tmp_path, project):
    home = tmp_path / "home"
    monkeypatch.setenv("MAMMOSEG_HOME", str(home))
    asked = """load_study("spatial_matching").plan(
        "demo", arms=["dice_bce"], training={"epochs": 1}, data={"n_images": 10, "image_size": 32}
    )[0]"""
    before = execute(eval(asked), device="cpu")
    assert "volume_similarity" not in before.per_image
    overlap, summary = (project / "mammoseg_lib" / "metrics" / name for name in ("overlap.py", "summary.py"))
    overlap.write_text(
        overlap.read_text(encoding="utf-8")
        + "\n\ndef volume_similarity(tp, fp, fn):\n    return 1 - abs(fn - fp) / max(2 * tp + fp + fn, 1)\n",
        encoding="utf-8",
    )
    edit(
        summary,
        "import COUNTS, OVERLAP, confusion, overlap",
        "import COUNTS, OVERLAP, confusion, overlap, volume_similarity",
    )
    edit(
        summary,
        '        "diagonal": float',
        '        "volume_similarity": volume_similarity(counts["tp"], counts["fp"], counts["fn"]),\n'
        '        "diagonal": float',
    )
    script = f"""
from mammoseg_lib.runs import find
from mammoseg_lib.studies import load_study
run = find({asked})
print(run.folder.name)
print(run.per_image[["tp", "fp", "fn", "volume_similarity"]].to_json(orient="values"))
"""
    name, rows = run(project, "-c", script, MAMMOSEG_HOME=str(home)).splitlines()
    assert name == before.folder.name
    assert len(json.loads(rows)) == len(before.per_image)
    for tp, fp, fn, value in json.loads(rows):
        assert value == pytest.approx(1 - abs(fn - fp) / max(2 * tp + fp + fn, 1))


def test_a_figure_is_a_drawing_and_a_line_in_a_notebook(project):
    (project / "mammoseg_lib" / "plots" / "toy.py").write_text(
        "import matplotlib.pyplot as plt\n\n\n"
        "def line(values):\n    figure, axes = plt.subplots()\n    axes.plot(values)\n    return figure\n",
        encoding="utf-8",
    )
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# A toy"),
            nbformat.v4.new_code_cell("n: int = 3", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(
                "from mammoseg_lib.outputs import Outputs\nfrom mammoseg_lib.plots.toy import line\n\n"
                'outputs = Outputs("99_toy", {"n": n})\n'
                'outputs.figure(line([1, n]), "line", alt="A line.", caption="It rises", of="000 Figure 1")\n'
                'outputs.figure(line([1, n]), "learned", alt="A line.", trained=True)'
            ),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    (project / "notebooks").mkdir()
    nbformat.write(notebook, project / "notebooks" / "99_toy.ipynb")
    run(project, "-m", "mammoseg_lib.cli", "run-notebooks", "99_toy", "--in-place")
    figures = project / "figures"
    assert {path.suffix for path in figures.glob("99_toy/line.*")} == {".svg", ".png", ".json"}
    assert {path.stem for path in figures.glob("trained/99_toy/*.png")} == {"learned"}
    shown = nbformat.read(project / "notebooks" / "99_toy.ipynb", as_version=4).cells[2].outputs[0]
    assert shown.metadata["image/png"]["alt"] == "A line."
    said = run(project, "-m", "mammoseg_lib.cli", "show", "99_toy/line")
    assert "It rises" in said
    assert "000 Figure 1" in said
