from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mammoseg_lib.datasets.files.windowing import WINDOWS, linear, linear_exact, look_up, sigmoid

X = np.arange(-40, 41)
GOOD = {"center": st.floats(-30, 30), "width": st.floats(1, 60)}


def by_the_standard(function: str, x: float, c: float, w: float) -> float:
    """The pseudo code of PS3.3 C.11.2.1.2.1 and C.11.2.1.3 for ymin = 0, ymax = 1."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(-4 * (x - c) / w))
    if function == "LINEAR":
        low, high = c - 0.5 - (w - 1) / 2, c - 0.5 + (w - 1) / 2
        return 0.0 if x <= low else 1.0 if x > high else (x - (c - 0.5)) / (w - 1) + 0.5
    return 0.0 if x <= c - w / 2 else 1.0 if x > c + w / 2 else (x - c) / w + 0.5


@pytest.mark.parametrize("function", WINDOWS)
@given(**GOOD)
def test_windows_are_those_of_the_standard(function, center, width):
    expected = [by_the_standard(function, float(x), center, width) for x in X]
    found = WINDOWS[function](X, center, width)
    assert found.dtype == np.float32
    # A window one gray value wide may fall to either side of a rounded limit.
    near = (
        np.abs(X - center + 0.5) < 1e-4 if function == "LINEAR" and width < 1.01 else np.zeros(X.shape, bool)
    )
    np.testing.assert_allclose(found[~near], np.array(expected)[~near], atol=2e-5)


@pytest.mark.parametrize("function", WINDOWS)
@given(**GOOD)
def test_a_window_never_reverses_and_stays_between_zero_and_one(function, center, width):
    found = WINDOWS[function](X, center, width)
    assert (np.diff(found) >= 0).all()
    assert 0 <= found.min() <= found.max() <= 1


def test_linear_by_hand():
    # Center 4, width 4: from 2 to 5, and one gray value is a third.
    np.testing.assert_allclose(linear(np.arange(7), 4.0, 4.0), [0, 0, 0, 1 / 3, 2 / 3, 1, 1], atol=1e-6)
    np.testing.assert_allclose(linear_exact(np.arange(7), 4.0, 4.0), [0, 0, 0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    np.testing.assert_array_equal(linear(np.arange(4), 2.0, 1.0), [0, 0, 1, 1])


def test_sigmoid_by_hand_and_far_away():
    found = sigmoid(np.array([-(10**6), 8.0, 10.0, 12.0, 10**6]), 10.0, 4.0)
    np.testing.assert_allclose(found, [0, 0.1192029, 0.5, 0.8807971, 1], atol=1e-6)


@pytest.mark.parametrize(
    ("function", "width"),
    [(linear, 0.5), (linear_exact, 0.0), (sigmoid, -1.0), (sigmoid, math.nan), (linear, math.inf)],
)
def test_impossible_windows_are_refused(function, width):
    with pytest.raises(ValueError, match="width"):
        function(X, 0.0, width)


def test_a_center_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="center nan"):
        sigmoid(X, math.nan, 4.0)


def test_look_up_holds_its_ends():
    table = np.array([7, 5, 9], np.uint16)
    assert look_up(np.array([-3, 9, 10, 11, 12, 400]), table, 10).tolist() == [7, 7, 7, 5, 9, 9]
    assert look_up(np.array([10.4, 10.6]), table, 10).tolist() == [7, 5]
