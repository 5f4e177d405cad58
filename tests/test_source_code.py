from __future__ import annotations

import importlib.util
import sys

import pytest

from mammoseg_lib import source_code
from mammoseg_lib.losses.overlap import Dice, Jaccard
from mammoseg_lib.losses.pixel import BCE
from mammoseg_lib.source_code import code_digest

A = '''"""A module."""
import math

from helper import twice, unused
import helper as whole

FACTOR = 3
OTHER = 4

print


def area(x):
    """Docstring."""
    return twice(x) * FACTOR  # comment


class Base:
    """Base."""

    rate = 1
    """What it is."""

    def value(self):
        return whole.half(self.rate)


class Derived(Base):
    pass
'''
HELPER = """
def twice(x):
    return _add(x, x)

def _add(a, b):
    return a + b

def unused(x):
    return x

def half(x):
    return x / 2
"""


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """The digest of a name in module A, after its text or the helper's was changed."""
    monkeypatch.syspath_prepend(tmp_path)
    count = iter(range(100))

    def of(name, a=A, helper=HELPER):
        folder = tmp_path / str(next(count))
        folder.mkdir()
        (folder / "a.py").write_text(a)
        (folder / "helper.py").write_text(helper)
        for module in ("helper", "a"):
            spec = importlib.util.spec_from_file_location(module, folder / f"{module}.py")
            loaded = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, module, loaded)
            spec.loader.exec_module(loaded)
        return code_digest(getattr(loaded, name))

    return of


@pytest.mark.parametrize("name", ["area", "Derived"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# comment", "# another"),
        ('"""Docstring."""', '"""Other words."""'),
        ('"""Docstring."""\n    ', ""),
        ('"""What it is."""', '"""Something else."""'),
        ('"""A module."""', ""),
        ("OTHER = 4", "OTHER = 5"),
        ("FACTOR = 3", "FACTOR   =  3"),
        ("def area(x):", "def another():\n    return 0\n\ndef area(x):"),
    ],
)
def test_what_does_not_change_what_code_does_changes_no_digest(digest_of, name, old, new):
    changed = A.replace(old, new)
    assert changed != A
    assert digest_of(name, changed) == digest_of(name)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("area", "* FACTOR", "+ FACTOR"),
        ("area", "FACTOR = 3", "FACTOR = 4"),
        ("Derived", "rate = 1", "rate = 2"),
        ("Derived", "whole.half(self.rate)", "whole.half(self.rate) + 1"),
        ("area", "print\n", "print()\n"),
    ],
)
def test_a_changed_line_of_what_is_used_changes_the_digest(digest_of, name, old, new):
    changed = A.replace(old, new)
    assert changed != A
    assert digest_of(name, changed) != digest_of(name)


def test_functions_of_other_files_are_followed_and_only_those_that_are_used(digest_of):
    plain, base = digest_of("area"), digest_of("Base")
    deep = HELPER.replace("return a + b", "return b + a")
    assert digest_of("area", helper=deep) != plain
    assert digest_of("Base", helper=deep) == base
    half = HELPER.replace("x / 2", "x / 3")
    assert digest_of("Base", helper=half) != base
    assert digest_of("area", helper=half) == plain
    unused = HELPER.replace("    return x\n", "    return -x\n")
    assert (digest_of("area", helper=unused), digest_of("Base", helper=unused)) == (plain, base)


def test_a_module_stands_for_all_that_is_in_it(digest_of):
    digest_of("area")
    before = code_digest(sys.modules["helper"])
    digest_of("area", helper=HELPER.replace("return x\n", "return -x\n"))
    assert code_digest(sys.modules["helper"]) != before


def test_losses_depend_on_their_own_code(monkeypatch):
    digests = {cls: code_digest(cls) for cls in (Dice, Jaccard, BCE)}
    assert len(set(digests.values())) == 3
    original = source_code._module(source_code.paths.LIBRARY / "losses" / "overlap.py")
    assert {"Dice", "Jaccard", "_OverlapLoss"} <= set(original.bindings)
    changed = dict(original.bindings, Dice=original.bindings["Jaccard"])
    parsed = source_code._parsed

    def altered(path, modified):
        module = parsed(path, modified)
        if path.name == "overlap.py":
            return source_code._Module(path, changed, module.imports, module.effects)
        return module

    monkeypatch.setattr(source_code, "_parsed", altered)
    assert code_digest(Dice) != digests[Dice]
    assert code_digest(Jaccard) == digests[Jaccard]
    assert code_digest(BCE) == digests[BCE]


def test_of_what_has_no_source_there_is_no_digest():
    with pytest.raises(TypeError):
        code_digest(len)
