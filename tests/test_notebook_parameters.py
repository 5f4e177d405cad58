"""What a notebook promises for every parameter in range, tried for some that are not the committed ones."""

from __future__ import annotations

import contextlib
import io

import matplotlib.pyplot as plt
import nbformat
import pytest

from mammoseg_lib import paths

pytestmark = pytest.mark.slow

# Of those whose "check yourself" separates what always holds from what the text says.
TRIED = {
    "10_bce_failure_cases": [
        {"side": 100},
        {"side": 32, "confidence": 0.6},
        {"side": 77, "confidence": 0.999},
        {"side": 256},
    ],
    "11_spatial_matching_loss": [
        {"core": "tversky"},
        {"core": "dice", "confidence": 0.6},
        {"confidence": 0.999},
    ],
    "12_region_losses": [{"confidence": 0.9}, {"confidence": 0.99}, {"confidence": 0.9999}],
    "14_overlap_losses": [
        {"alpha": 0.9, "exponent": 1.5},
        {"side": 64, "mass_pixels": 40, "alpha": 0.3, "exponent": 1.0},
    ],
    "15_loss_atlas": [{"side": 32}, {"side": 48, "confidence": 0.7}, {"side": 100, "confidence": 0.999}],
    "00_start_here": [{"n_examples": 2}],
    "01_prepare_inbreast": [{"size": 64}],
    "02_augmentation_gallery": [{"n_images": 4, "size": 128, "seed": 3}],
    "03_dataset_atlas": [{"sources": ["busi"], "n_images": 40, "size": 128}],
}


# A notebook's kernel hides it; it is seaborn's business with matplotlib.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("name", "parameters"),
    [(name, each) for name, tried in TRIED.items() for each in tried],
    ids=lambda value: value if isinstance(value, str) else ",".join(f"{k}={v}" for k, v in value.items()),
)
def test_a_notebook_runs_through_with_other_parameters(name, parameters, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    monkeypatch.chdir(paths.NOTEBOOKS)
    cells = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", 4).cells
    said = io.StringIO()
    scope = {"display": lambda *args, **kwargs: None}
    with contextlib.redirect_stdout(said), plt.rc_context():
        for cell in cells:
            if cell.cell_type != "code":
                continue
            exec(cell.source, scope)
            if "parameters" in cell.metadata.get("tags", []):
                committed = {key: scope[key] for key in scope["__annotations__"]}
                assert set(parameters) <= set(committed)
                assert all(type(committed[key]) is type(value) for key, value in parameters.items())
                scope |= parameters
    plt.close("all")
    assert scope["checks"].written_for == committed
    assert "invariants hold" in said.getvalue()
    for key, value in parameters.items():
        assert f"{key} = {value!r}" in said.getvalue(), "the report names what was changed"
