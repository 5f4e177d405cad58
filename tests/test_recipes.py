"""The recipes of CONTRIBUTING.md for a network and a data set, followed; the others name their own tests."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mammoseg_lib.datasets import DataError, Problem, Reader, Sample, sample_table
from mammoseg_lib.models import MODELS, build_model
from mammoseg_lib.phantoms.writer import Writer
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.sources import SOURCES, DataSet, open_source


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
