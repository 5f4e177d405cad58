from __future__ import annotations

import numpy as np
import pytest

from mammoseg_lib.teaching import Checks, compare


def test_an_invariant_that_fails_names_itself_whatever_was_changed():
    for parameters in ({"n": 1}, {"n": 2}):
        with pytest.raises(AssertionError, match="should hold for every parameter: the sum is 1"):
            Checks(parameters, {"n": 1}).always(0.9 == 1, "the sum is 1")


def test_a_statement_of_the_text_is_an_error_only_for_the_values_it_was_written_for():
    with pytest.raises(AssertionError, match="the text says what is not so: n is odd"):
        Checks({"n": 1}, {"n": 1}).committed(False, "n is odd")
    checks = Checks({"n": 2, "side": 3}, {"n": 1, "side": 3})
    checks.committed(False, "n is odd")
    checks.committed(True, "side is odd")
    checks.always(np.bool_(True), "numbers are numbers")
    assert checks.report() == (
        "1 invariants hold.\n"
        "You changed what the text was written for: n = 2, not 1.\n"
        "1 of its statements hold all the same.\n"
        "These do not hold any more:\n"
        "- n is odd"
    )


def test_the_report_of_an_unchanged_notebook_counts():
    checks = Checks({"n": 1}, {"n": 1})
    checks.committed(True, "n is odd")
    assert checks.report() == "0 invariants hold.\n1 statements of the text hold."


def test_a_parameter_that_was_forgotten_is_an_error():
    with pytest.raises(ValueError, match=r"written for \['n'\], the notebook has \['m', 'n'\]"):
        Checks({"n": 1, "m": 1}, {"n": 1})


@pytest.mark.parametrize("empty", [None, ..., [1, ...], {"a": None}])
def test_without_an_answer_the_right_one_is_neither_computed_nor_shown(empty, capsys):
    compare(empty, lambda: pytest.fail("was computed"))
    assert capsys.readouterr().out == "No answer yet: put yours in place of ... and run this cell again.\n"


@pytest.mark.parametrize(
    ("yours", "right", "printed"),
    [
        (0.6667, 2 / 3, "your answer 0.6667, the right one 0.6667: right\n"),
        (0.6, lambda: 2 / 3, "your answer 0.6, the right one 0.6667: not yet\n"),
        (1e-4, 0.0, "your answer 0.0001, the right one 0: right\n"),
        ("Dice ", "dice", "your answer Dice , the right one dice: right\n"),
        ([1], [3], "number 1: your answer 1, the right one 3: not yet\n"),
        ({"D": 1}, {"D": 1}, "D: your answer 1, the right one 1: right\n"),
        ({"D": 1}, {"D": 1, "J": 1}, "This asks for D, J; you gave 1.\n"),
        (np.zeros(9), np.ones(9), "your answer array of (9,), the right one array of (9,): not yet\n"),
    ],
)
def test_an_answer_stands_beside_the_right_one(yours, right, printed, capsys):
    compare(yours, right)
    assert capsys.readouterr().out == printed
