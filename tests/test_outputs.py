from __future__ import annotations

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mammoseg_lib.outputs import Outputs
from mammoseg_lib.plots import use_style
from mammoseg_lib.plots.images import show_image
from mammoseg_lib.publishing import PUBLISH


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    monkeypatch.setenv(PUBLISH, "1")
    with plt.rc_context():
        use_style()
        yield tmp_path


def _write(real: bool) -> Outputs:
    outputs = Outputs("99_none", {"n": 1}, {"source": "drawn"}, real=real)
    figure, ax = plt.subplots()
    ax.plot([1, 2])
    outputs.figure(figure, "line")
    outputs.table(pd.DataFrame({"a": [1]}), "numbers")
    plt.close(figure)
    return outputs


@pytest.mark.parametrize(("real", "folder"), [(False, "figures"), (True, "figures/real")])
def test_figures_and_tables_with_sidecars_in_the_right_place(home, real, folder):
    outputs = _write(real)
    written = {
        path.relative_to(home / folder).as_posix() for path in (home / folder).rglob("*") if path.is_file()
    }
    assert written == {
        "99_none/line.svg", "99_none/line.png", "99_none/line.json",
        "tables/99_none-numbers.csv", "tables/99_none-numbers.json",
    }  # fmt: skip
    record = json.loads((home / folder / "99_none" / "line.json").read_text())
    assert record["parameters"] == {"n": 1}
    assert record["real_images"] is real
    assert outputs.links().count("\n") == 2


def test_the_same_figure_is_the_same_file(home):
    _write(real=False)
    first = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    _write(real=False)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == first


@pytest.mark.parametrize("real", [False, True])
def test_what_is_run_by_hand_leaves_the_figures_of_the_repository_alone(home, monkeypatch, real):
    _write(real)
    published = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    monkeypatch.delenv(PUBLISH)
    outputs = _write(real)
    assert {path.relative_to(home).parts[:2] for path in outputs.written} == {("figures", "mine")}
    now = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and "mine" not in path.parts}
    assert now == published


def test_a_figure_with_an_alt_is_shown_with_it_once(home, monkeypatch):
    shown = []
    monkeypatch.setattr("mammoseg_lib.outputs.get_ipython", lambda: object())
    monkeypatch.setattr("mammoseg_lib.outputs.display", lambda data, **options: shown.append((data, options)))
    outputs = Outputs("99_none", {}, {})
    figure, _ = plt.subplots(figsize=(4, 2))
    outputs.figure(figure, "line", alt="A line.")
    [(data, options)] = shown
    written = home / "figures" / "99_none"
    assert data == {"image/png": (written / "line.png").read_bytes(), "text/plain": "A line."}
    about = options["metadata"]["image/png"]
    assert about["alt"] == json.loads((written / "line.json").read_text())["alt"] == "A line."
    assert abs(about["width"] - 4 * figure.dpi) < 15  # "tight" cuts and pads a little
    assert not plt.fignum_exists(figure.number)


def test_a_gray_picture_takes_about_half_and_looks_the_same(home):
    noise = np.random.default_rng(0).random((96, 96))  # the hardest to pack
    mask = np.indices((96, 96)).sum(0) < 60
    figure, ax = plt.subplots(figsize=(3, 3))
    show_image(ax, noise, mask)
    outputs = Outputs("99_none", {}, {})
    for name, gray in (("all", False), ("few", True), ("again", True)):
        outputs.figure(figure, name, gray=gray)
    plt.close(figure)
    folder = home / "figures" / "99_none"
    assert (folder / "few.png").read_bytes() == (folder / "again.png").read_bytes()
    assert (folder / "few.png").stat().st_size < 0.6 * (folder / "all.png").stat().st_size
    with Image.open(folder / "all.png") as full, Image.open(folder / "few.png") as few:
        assert few.mode == "P"
        assert few.info["dpi"] == full.info["dpi"]
        before, after = (np.asarray(each.convert("RGB"), dtype=int) for each in (full, few))
    gray = np.ptp(before, axis=2) == 0
    assert np.abs(after - before)[gray].max() <= 1  # of 255
    assert (np.ptp(after[gray], axis=1) == 0).all(), "a gray got a tint"
    assert np.abs(after - before).max() < 16
