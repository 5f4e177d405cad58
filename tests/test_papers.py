import inspect

import pytest
import yaml

from mammoseg_lib import paths
from mammoseg_lib.losses import build_loss
from mammoseg_lib.losses.hybrids import dice_bce
from mammoseg_lib.losses.overlap import Dice, Tversky
from mammoseg_lib.losses.spatial_matching import SpatialMatching
from mammoseg_lib.metrics import METRICS
from mammoseg_lib.models import build_model
from mammoseg_lib.papers import PaperError, load_paper, paper_keys
from mammoseg_lib.papers.load import read_paper
from mammoseg_lib.preprocessing import Preprocessing
from mammoseg_lib.training import Training


@pytest.fixture(scope="module")
def paper():
    return load_paper("spatial_matching")


def value(paper, method, metric, table):
    cells = [c for c in paper.find(method).published if (c.metric, c.table) == (metric, table)]
    assert len(cells) == 1
    return cells[0].value


# The numbers ----------------------------------------------------------------------------------------


def test_all_24_settings_and_the_baselines_are_there(paper):
    settings = {m.id for m in paper.methods if m.loss.get("name") == "spatial_matching"}
    assert settings == {
        f"sm_{variant}_{core}_{aggregation}"
        for variant in ("b", "d", "s", "sd")
        for core in ("bce", "tversky", "dice")
        for aggregation in ("all", "nonzero")
    }
    others = {m.id for m in paper.methods} - settings
    assert others == {"dice_bce", "arf_net", "asp_q", "asp_l", "asp_c", "density_asp"}


def test_id_says_what_the_loss_is(paper):
    short = {"basic": "b", "distance": "d", "scale": "s", "scale_distance": "sd"}
    for method in paper.methods:
        if method.loss.get("name") == "spatial_matching":
            variant, core, aggregation = (method.loss[k] for k in ("variant", "core", "aggregation"))
            assert method.id == f"sm_{short[variant]}_{core}_{aggregation}"


def test_every_number_of_the_tables_is_there(paper):
    cells = [cell for method in paper.methods for cell in method.published]
    count = {table.id: sum(cell.table == table.id for cell in cells) for table in paper.tables}
    # Table 2 has no Hausdorff distance for the five methods that others published.
    assert count == {"Table 1": 80, "Table 2": 8 * 5 - 5, "Table 3": 40}
    assert len({(cell.table, cell.row, cell.column, cell.metric) for cell in cells}) == len(cells)


def test_sums_of_the_columns(paper):
    # The sums were taken from the columns in the paper's own text, not from the YAML: they guard its cells.
    def total(table, metric):
        cells = [c for m in paper.methods for c in m.published if (c.table, c.metric) == (table, metric)]
        return round(sum(c.value for c in cells), 2)

    names = ("dsc", "da", "sensitivity", "hd", "accuracy")
    assert [total("Table 1", name) for name in names] == [1167.64, 217.16, 1165.05, 80.23, 1580.63]
    assert [total("Table 2", name) for name in names] == [577.03, 151.05, 543.46, 15.02, 790.09]
    assert [total("Table 3", name) for name in names] == [585.15, 96.30, 575.13, 40.25, 789.93]


def test_metrics_and_ranges(paper):
    for cell in (cell for method in paper.methods for cell in method.published):
        assert cell.metric in METRICS
        low, high = {
            "dsc": (65, 78),
            "da": (5, 31),
            "sensitivity": (57, 80),
            "hd": (4.8, 5.3),
            "accuracy": (98.4, 99.5),
        }[cell.metric]
        assert low < cell.value < high
        assert float(cell.printed) == cell.value


def test_stated_improvements_follow_from_the_tables(paper):
    claim = paper.claim("best_over_baseline")
    assert claim.printed == {
        "dsc": "+11.92", "da": "-14.19", "sensitivity": "+21.43", "hd": "-0.45", "accuracy": "+0.32",
    }  # fmt: skip
    assert (claim.misprinted, set(claim.left_out)) == ({}, {"hd"})
    for metric, printed in claim.printed.items():
        ours, theirs = (value(paper, m, metric, "Table 2") for m in ("sm_s_tversky_all", "dice_bce"))
        assert f"{ours - theirs:+.2f}" == printed


def test_tables_1_and_2_agree_but_for_the_noted_cell(paper):
    differing = [
        (method, metric)
        for method in ("sm_sd_bce_all", "sm_s_tversky_all")
        for metric in ("dsc", "da", "sensitivity", "hd", "accuracy")
        if value(paper, method, metric, "Table 1") != value(paper, method, metric, "Table 2")
    ]
    assert differing == [("sm_sd_bce_all", "sensitivity")]
    note = next(note for note in paper.notes if "SM-SD (BCE)" in note.about)
    assert "73.79" in note.text
    assert "73.49" in note.text


def test_mass_fraction_implied_by_a_row_is_as_noted(paper):
    def implied(row):
        dsc, sensitivity, accuracy = (row[k] / 100 for k in ("dsc", "sensitivity", "accuracy"))
        return 100 * (1 - accuracy) / (2 * sensitivity * (1 / dsc - 1))

    rows = [(method.id, row) for method in paper.methods for row in method.rows()]
    odd = [(id, implied(row)) for id, row in rows if row["accuracy"] > 99]
    usual = [implied(row) for _, row in rows if row["accuracy"] < 99]
    assert len({id for id, _ in odd}) == 5
    assert all(1.1 < fraction < 1.55 for _, fraction in odd)
    assert all(2.35 < fraction < 2.65 for fraction in usual)


def test_notes_know_the_headers(paper):
    table = paper.table("Table 2")
    assert table.headers.count("SEN") == 2
    assert table.metrics[3] == "hd"


# The methods ----------------------------------------------------------------------------------------


def test_every_available_method_can_be_built(paper):
    assert len(paper.available) == 30
    for id in paper.available:
        method = paper.method(id)
        build_loss(**method.loss)
        Training(**method.training)
        assert build_model(**{**method.model, "base_width": 8}) is not None


def test_another_network_takes_no_option_of_the_papers_own(paper):
    assert paper.method("arf_net").model == {"name": "arfnet", "base_width": 32, "weights": "none"}
    assert paper.method("dice_bce").model["upsampling"] == "bilinear"


def test_methods_that_are_not_available_say_why(paper):
    assert paper.available == tuple(method.id for method in paper.methods)
    other = load_paper("boundary_ultrasound")
    missing = [method for method in other.methods if not method.available]
    assert {method.id for method in missing} == {"ce_isles", "ce_wmh", "rebalance_isles", "rebalance_wmh"}
    for method in missing:
        assert method.published
        with pytest.raises(PaperError, match=f"'{method.id}' .* is not available: .*Kervadec"):
            other.method(method.id)


def test_stated_settings_carry_a_quote_and_choices_a_reason(paper):
    stated = {setting.name: setting.value for setting in paper.hyperparameters if setting.stated}
    assert stated["training.batch_size"] == 4
    assert stated["training.learning_rate"] == 0.0001
    assert stated["preprocessing.size"] == 256
    assert stated["data.n_images"] == 107
    assert not paper.setting("training.epochs").stated
    assert all(setting.source for setting in paper.hyperparameters)
    assert all(setting.source.startswith("section") for setting in paper.hyperparameters if setting.stated)


def test_loss_settings_are_the_defaults_of_the_losses(paper):
    def defaults(function):
        return {name: p.default for name, p in inspect.signature(function).parameters.items()}

    known = {**defaults(SpatialMatching), **defaults(Dice), **defaults(Tversky), **defaults(dice_bce)}
    for setting in paper.hyperparameters:
        part, _, name = setting.name.partition(".")
        if part == "loss":
            assert known[name] == setting.value, setting.name


def test_preprocessing_settings_are_the_defaults(paper):
    default = Preprocessing()
    for name in ("size", "resize", "crop"):
        assert paper.setting(f"preprocessing.{name}").value == getattr(default, name)
    assert tuple(paper.setting("preprocessing.window").value) == default.window


def test_metadata(paper):
    assert (paper.cite, paper.aggregate) == ("000", "micro")
    assert "rejected" in paper.venue


# Files that are not in order ------------------------------------------------------------------------


def test_unknown_names_list_the_known_ones(paper):
    assert "spatial_matching" in paper_keys()
    with pytest.raises(PaperError, match=r"there are .*spatial_matching"):
        load_paper("spatial")
    with pytest.raises(PaperError, match="no method 'sm'; known: dice_bce"):
        paper.method("sm")
    with pytest.raises(PaperError, match=r"did you mean 'Table 3'\?; it has Table 1, Table 2, Table 3"):
        paper.table("Table 4")
    with pytest.raises(PaperError, match=r"known: data\.source"):
        paper.setting("epochs")


def drop(raw, *path):
    *parents, last = path
    for key in parents:
        raw = raw[key]
    del raw[last]


def put(raw, new, *path):
    *parents, last = path
    for key in parents:
        raw = raw[key]
    raw[last] = new


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: drop(r, "title"), "title is missing"),
        (lambda r: put(r, 1, "titel"), "titel is not known; did you mean 'title'"),
        (lambda r: put(r, "median", "aggregate"), "aggregate is 'median', not one of 'micro' or 'macro'"),
        (lambda r: drop(r, "hyperparameters", 0, "quote"), r"hyperparameter data\.source: lacks reason"),
        (lambda r: put(r, "epochs", "hyperparameters", 0, "name"), "epochs: .*not an option of data"),
        (lambda r: put(r, "model.name", "hyperparameters", 0, "name"), r"model\.name stands twice"),
        (
            lambda r: put(r, "training.epoch", "hyperparameters", 0, "name"),
            r"hyperparameter training\.epoch: training\.epoch is not known; did you mean 'epochs'",
        ),
        (
            lambda r: put(r, {"epoch": 3}, "methods", "dice_bce", "training"),
            r"method dice_bce: training\.epoch is not known; did you mean 'epochs'",
        ),
        (
            lambda r: put(r, {"sourc": 3}, "methods", "dice_bce", "data"),
            r"method dice_bce: data\.sourc is not known; did you mean 'source'",
        ),
        (
            lambda r: put(r, {}, "methods", "dice_bce", "los"),
            "dice_bce: los is not known; did you mean 'loss'",
        ),
        (lambda r: drop(r, "methods", "dice_bce"), "there is no method 'dice_bce'"),
        (lambda r: drop(r, "methods", "dice_bce", "loss", "name"), "dice_bce: lacks loss"),
        (lambda r: put(r, {"x": 1}, "methods", "dice_bce", "loss"), "method dice_bce: its loss has no name"),
        (lambda r: put(r, {"label": "x", "reason": "y"}, "methods", "new"), "method new stands in no table"),
        (lambda r: put(r, {}, "methods", "dice_bce"), "method dice_bce: label is missing"),
        (
            lambda r: put(r, "1 2 3 4", "tables", 1, "rows", 0, "arf_net"),
            "ARF-Net, arf_net: 4 values under 5",
        ),
        (lambda r: put(r, "1 2 x 4 5", "tables", 1, "rows", 0, "arf_net"), "SEN: 'x' is not a number"),
        (lambda r: put(r, "1 2 101 4 5", "tables", 1, "rows", 0, "arf_net"), "SEN: 101 is out of range"),
        (lambda r: drop(r, "tables", 0, "units", 0), "5 headers, but 4 units"),
        (lambda r: drop(r, "tables", 0, "rows", 0, "sm_b_bce_all"), "1 methods in 2 blocks"),
        (lambda r: drop(r, "tables", 0, "rows", 0, "row"), "Table 1: entry 1 lacks row"),
        (lambda r: put(r, "Table 1", "tables", 1, "id"), "tables: Table 1 stands twice"),
        (
            lambda r: put(r, "Table 9", "claims", 0, "table"),
            "best_over_baseline .*'Table 9', which is no table",
        ),
        (lambda r: put(r, "sm_b_bce_all", "claims", 0, "arms"), "which is not in Table 2"),
        (
            lambda r: put(r, "+12.00", "claims", 0, "printed", "dsc"),
            r"dsc is \+12\.00, but \+11\.92 by Table 2",
        ),
        (lambda r: put(r, "x", "claims", 0, "marginn"), "claim best_over_baseline: marginn is not known"),
        (lambda r: put(r, ["dcs"], "claims", 0, "metrics"), r"metrics\.0 is 'dcs', not one of 'dsc'"),
        (
            lambda r: put(r, "best_over_baseline", "claims", 1, "id"),
            "claims: best_over_baseline stands twice",
        ),
        (
            lambda r: drop(r, "claims", 0, "left_out"),
            "prints hd, which is neither in metrics nor in left_out",
        ),
        (lambda r: drop(r, "claims", 0, "study"), "needs a study"),
        (lambda r: drop(r, "claims", 0, "against"), "arms and against belong together"),
        (lambda r: put(r, "reason", "claims", 18, "untestable"), "images_with_masses: needs one of"),
        (lambda r: put(r, "bce", "claims", 1, "arms"), "holds bce against itself"),
        (lambda r: put(r, {"dsc": 3}, "claims", 1, "margin"), "a margin of its own needs a margin_reason"),
        (lambda r: put(r, True, "claims", 1, "paired"), "pairs 4 arms with 1"),
        (lambda r: put(r, 3, "methods"), "methods is 3: input should be a valid dictionary"),
        (lambda r: put(r, ["x"], "notes"), "note number 1.* is 'x'"),
    ],
)
def test_slips_in_a_file_are_named(tmp_path, spoil, message):
    raw = yaml.safe_load((paths.PAPERS / "spatial_matching.yaml").read_text(encoding="utf-8"))
    spoil(raw)
    file = tmp_path / "spoilt.yaml"
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    with pytest.raises(PaperError, match=rf"(?s)^spoilt\.yaml.*{message}"):
        read_paper(file)


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("title: a\ntitle: b\n", encoding="utf-8")
    with pytest.raises(PaperError, match=r"twice\.yaml: title stands twice"):
        read_paper(file)
