from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mammoseg_lib.models import build_model
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.runs import Data, RunConfig, averaged, evaluate, execute
from mammoseg_lib.training import Training

CONFIG = RunConfig(
    loss={"name": "bce_jaccard_then_focal_tversky", "combination_epochs": 1},
    model={"name": "resnet22_unet", "base_width": 4, "decoder_width": 4, "weights": "none"},
    training=Training(
        epochs=2, batch_size=8, learning_rate=0.01, freeze_encoder=1, normalize=True, monitor="loss",
        precision="float32",
    ),
    data=Data(
        source="busi", n_images=30, phantom_size=64, protocol="holdout_folds",
        preprocessing=Preprocessing(size=64, crop="none", window=None),
    ),
    fold=0,
    seed=0,
    paper="encoder_decoders",
    method="resnet22_unet",
)  # fmt: skip
OTHER = Data(n_images=12, phantom_size=64, preprocessing=Preprocessing(size=64))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMOSEG_HOME", str(tmp_path_factory.mktemp("home")))
        yield [execute(replace(CONFIG, fold=fold), device="cpu") for fold in (0, 1, 2)]


def probabilities(run, images):
    """What the network of a run gives, without the library's loop."""
    model = build_model(**{**CONFIG.model})
    model.load_state_dict(torch.load(run.folder / "weights.pt", weights_only=True))
    mean, deviation = run.normalization
    x = (torch.from_numpy(np.array(images))[:, None] - mean) / deviation
    with torch.no_grad():
        return model.eval()(x).sigmoid()[:, 0].numpy()


def test_training_images_are_normalized_with_their_own_moments(runs):
    prepared = CONFIG.data.prepare()
    for run in runs:
        fold = json.loads((run.folder / "split.json").read_text())["folds"][run.config["fold"]]
        pixels = prepared.images[prepared.table["sample_id"].isin(fold["train"])].astype(np.float64)
        assert run.normalization == pytest.approx((pixels.mean(), pixels.std()), rel=1e-6)


def test_probabilities_are_averaged_and_then_thresholded(runs):
    mean = evaluate(runs)
    prepared = CONFIG.data.prepare()
    tested = mean.per_image["sample_id"].tolist()
    assert tested == runs[0].per_image["sample_id"].tolist()
    rows = [prepared.table["sample_id"].tolist().index(i) for i in tested]
    expected = np.mean([probabilities(run, prepared.images[rows]) for run in runs], axis=0)
    for i, sample_id in enumerate(tested):
        np.testing.assert_allclose(mean.predictions()[sample_id], expected[i], atol=1e-3)
        row = mean.per_image.iloc[i]
        assert row["tp"] + row["fp"] == (expected[i] > 0.5).sum()
        assert row["tp"] + row["fn"] == prepared.masks[rows[i]].sum()
    one = probabilities(runs[0], prepared.images[rows])
    assert np.abs(one - expected).max() > 0.01


def test_networks_are_tested_on_another_data_set(runs):
    mean = evaluate(runs, OTHER, method="resnet22_unet_inbreast")
    prepared = OTHER.prepare()
    assert mean.per_image["sample_id"].tolist() == prepared.table["sample_id"].tolist()
    expected = np.mean([probabilities(run, prepared.images) for run in runs], axis=0)
    for i, sample_id in enumerate(prepared.table["sample_id"]):
        np.testing.assert_allclose(mean.predictions()[sample_id], expected[i], atol=1e-3)
    record = mean.config
    assert (record["method"], record["data"]["source"]) == ("resnet22_unet_inbreast", "inbreast")
    assert (record["trained_on"]["source"], len(record["members"])) == ("busi", 3)
    assert record["fold"] == "0, 1, 2"


def test_an_evaluation_is_kept_and_read_again(runs, monkeypatch):
    first = evaluate(runs, OTHER)
    monkeypatch.setattr("mammoseg_lib.runs.averages._predict", lambda *_: pytest.fail("predicted again"))
    assert evaluate(runs[::-1], OTHER) == first
    with pytest.raises(pytest.fail.Exception, match="predicted again"):
        evaluate(runs[:2], OTHER)


def test_folds_with_one_test_part_are_reported_as_their_mean_and_others_as_they_are(runs):
    by_patient = replace(CONFIG, data=replace(CONFIG.data, protocol="patient_folds"))
    apart = [execute(replace(by_patient, fold=fold), device="cpu") for fold in (0, 1)]
    assert averaged([apart[0], *runs, apart[1]]) == [apart[0], evaluate(runs), apart[1]]
    assert averaged([]) == []


def test_what_must_not_be_averaged(runs):
    with pytest.raises(ValueError, match="differ in the fold only"):
        evaluate([])
    other_seed = execute(replace(CONFIG, seed=1), device="cpu")
    with pytest.raises(ValueError, match="differ in the fold only"):
        evaluate([runs[0], other_seed])
    with pytest.raises(ValueError, match="were trained on busi"):
        evaluate(runs, replace(CONFIG.data, n_images=40))
    by_patient = replace(CONFIG, data=replace(CONFIG.data, protocol="patient_folds"))
    apart = [execute(replace(by_patient, fold=fold), device="cpu") for fold in (0, 1)]
    with pytest.raises(ValueError, match="of which the others have trained on some"):
        evaluate(apart)
    assert len(evaluate(apart[:1]).per_image) == len(apart[0].per_image)
