"""What is rejected, in which words; which kinds of mask are read, and which are not."""

from __future__ import annotations

import ast
import inspect
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import mammoseg_lib
from mammoseg_lib import checks
from tests.masks import KINDS

NOT_NUMBERS = ("1", None, True, [1], float("nan"), float("inf"))


@pytest.mark.parametrize(
    ("check", "good", "bad", "says"),
    [
        (checks.check_positive, (1, 0.5, 1e9), (0, -1, -0.0), "x must be positive and finite, not"),
        (checks.check_weight, (0, 1, 0.5), (-1e-9, -1), "x must be a finite number from 0, not"),
        (checks.check_share, (0.5, 1e-9), (0, 1, 1.5, -0.1), "x must lie between 0 and 1, not"),
        (checks.check_whole, (1, 7), (0, -1, 1.0, 1.5), "x must be a whole number from 1, not"),
    ],
)
def test_numbers(check, good, bad, says):
    for value in good:
        assert check("x", value) == value
    for value in (*bad, *NOT_NUMBERS):
        with pytest.raises(ValueError, match=says):
            check("x", value)


def test_a_choice_lists_what_is_valid_and_names_the_nearest():
    checks.check_choice("core", "dice", ("bce", "dice"))
    with pytest.raises(ValueError, match=r"^core='Dise' is not one of 'bce', 'dice'; did you mean 'dice'\?$"):
        checks.check_choice("core", "Dise", ("bce", "dice"))
    with pytest.raises(ValueError, match=r"^factor=3 is not one of 1, 2$"):
        checks.check_choice("factor", 3, (1, 2))


def test_a_name_lists_what_is_known_and_names_the_nearest():
    with pytest.raises(
        ValueError, match=r"^no loss is called 'DICE'; there are 'bce', 'dice'; did you mean 'dice'"
    ):
        checks.check_name("loss", "DICE", {"bce": 1, "dice": 2})
    with pytest.raises(ValueError, match=r"^no loss is called 'zzz'; there are 'bce', 'dice'$"):
        checks.check_name("loss", "zzz", ["bce", "dice"])
    with pytest.raises(ValueError, match=r"^no loss is called 3; there are"):
        checks.check_name("loss", 3, ["bce"])


def test_options_are_the_parameters_of_what_takes_them():
    def factory(data, width, *, depth=2):
        return data, width, depth

    checks.check_options("net", factory, {"width": 1}, given=("data",))
    with pytest.raises(
        ValueError, match=r"^net has no option 'dept'; it takes 'width', 'depth'; did you mean 'depth'"
    ):
        checks.check_options("net", factory, {"width": 1, "dept": 3}, given=("data",))
    with pytest.raises(ValueError, match=r"net has no option 'data'"):
        checks.check_options("net", factory, {"width": 1, "data": 3}, given=("data",))
    with pytest.raises(ValueError, match=r"^net needs 'data', 'width'$"):
        checks.check_options("net", factory, {})
    with pytest.raises(ValueError, match=r"it takes no options$"):
        checks.check_options("net", torch.nn.Identity.__call__, {"whatever": 1}, given=("self",))


def test_the_ground_floor_needs_nothing_above_it():
    tree = ast.parse(Path(inspect.getfile(checks)).read_text(encoding="utf-8"))
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert not [name for name in imported if name.startswith(("mammoseg_lib", "torch"))]


def test_nothing_else_suggests_words_on_its_own():
    """What rejects an option stands in one place."""
    package = Path(inspect.getfile(mammoseg_lib)).parent
    for path in package.rglob("*.py"):
        # A figure that is looked for, by any part of its name; what stands in a cell of a data set's table.
        if path.name in ("checks.py", "gallery.py", "table.py"):
            continue
        text = path.read_text(encoding="utf-8")
        assert "is not one of" not in text, path
        assert "get_close_matches" not in text, path


# Masks ----------------------------------------------------------------------------------------------


MASK = np.array([[False, True, True], [False, False, True]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "mask", [MASK, np.zeros((2, 3), bool), np.ones((2, 3), bool), np.zeros((0, 3), bool)]
)
def test_every_kind_of_mask_is_the_boolean_one(kind, mask):
    got = checks.as_mask(KINDS[kind](mask))
    assert got.dtype == bool
    np.testing.assert_array_equal(got, mask)


def test_a_boolean_mask_is_not_copied():
    assert checks.as_mask(MASK) is MASK


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (MASK * 0.5, "the target holds 0.5: a mask holds False and True, 0 and 1, or 0 and 255, and nothing"),
        (MASK * 2, "the target holds 2: "),
        (MASK * -1, "the target holds -1: "),
        (MASK * 254 + 1, "the target holds 1: "),  # 1 and 255
        (np.where(MASK, np.nan, 0), "the target holds nan: "),
        (np.where(MASK, np.inf, 0), "the target holds inf: "),
        (np.where(MASK, 1 + 1e-12, 0), "the target holds 1.000000000001: "),
        (torch.from_numpy(MASK * 0.25), "the target holds 0.25: "),
        (MASK[None], r"the target must have 2 axes, not the shape \(1, 2, 3\)"),
        (MASK[0], r"the target must have 2 axes, not the shape \(3,\)"),
        (MASK.astype(str), "the target must hold numbers or booleans, not <U"),
        (MASK + 0j, "the target must hold numbers or booleans, not complex128"),
        (np.array([[Fraction(1)]]), "the target must hold numbers or booleans, not object"),
    ],
)
def test_what_is_no_mask_is_refused(mask, says):
    with pytest.raises(ValueError, match=says):
        checks.as_mask(mask, "the target")


def test_two_masks_have_one_shape():
    with pytest.raises(ValueError, match=r"the prediction has the shape \(2, 3\), the target \(1, 3\)"):
        checks.as_masks(MASK, MASK[:1])
    assert [m.sum() for m in checks.as_masks(MASK, MASK.astype(float))] == [3, 3]
