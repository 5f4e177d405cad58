from __future__ import annotations

from mammoseg_lib.results import compare_reference, reference_numbers
from mammoseg_lib.results.reference import stored


def test_todays_code_gives_the_numbers_that_the_shipped_results_were_measured_with(tmp_path, monkeypatch):
    """If this fails on purpose: `mammoseg results reference --store`; shipped results then say so."""
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path))
    now = reference_numbers()
    assert set(now) == set(stored())
    assert compare_reference(now) == []


def test_a_number_that_moves_is_named(monkeypatch):
    numbers = stored()
    name = next(iter(numbers))
    moved = {**numbers, name: {**numbers[name], "training loss": numbers[name]["training loss"] * 1.01}}
    assert compare_reference(numbers) == []
    assert [line.partition(" is ")[0] for line in compare_reference(moved)] == [f"{name}: training loss"]
    assert len(compare_reference({"another": {"training loss": 1.0}})) == 1
