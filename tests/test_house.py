"""The house of the library: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mammoseg_lib.paths import LIBRARY

# From the cellar to the roof: a room imports from rooms below it, and from nowhere else.
HOUSE = (
    *("paths", "storage", "checks", "parallel", "source_code", "provenance", "yaml_files", "teaching"),
    *("losses", "models", "metrics", "scenes", "plots", "atlas"),
    *("datasets", "phantoms", "sources", "augmentation", "preprocessing", "splits", "check", "export"),
    *("settings", "batching", "training", "papers", "studies", "runs", "results", "reports", "own_loss"),
    *("publishing", "outputs", "notebooks", "lab", "site", "cli"),
)
WAY = HOUSE[HOUSE.index("datasets") :]  # from data to runs, and what reads them


def rooms() -> dict[str, set[str]]:
    """Room to the rooms that it imports from, anywhere in its modules, in functions too."""
    found: dict[str, set[str]] = {}
    for path in LIBRARY.rglob("*.py"):
        room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        found.setdefault(room, set()).update(imported(path))
    return {room: others - {room} for room, others in found.items() if room != "__init__"}


def imported(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "mammoseg_lib":
            names += [f"mammoseg_lib.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are written out"
            names.append(node.module)
    return {name.split(".")[1] for name in names if name.startswith("mammoseg_lib.")}


def test_every_room_has_its_place():
    assert rooms().keys() == set(HOUSE)


def test_arrows_point_one_way():
    place = {room: floor for floor, room in enumerate(HOUSE)}
    upward = [(a, b) for a, others in rooms().items() for b in others if place[b] > place[a]]
    assert upward == []


@pytest.mark.parametrize("room", ["losses", "models", "metrics", "plots"])
def test_what_computes_and_draws_knows_nothing_of_the_way_from_data_to_runs(room):
    known, waiting = rooms(), [room]
    reached: set[str] = set()
    while waiting:
        reached.add(name := waiting.pop())
        waiting += known[name] - reached
    assert reached.isdisjoint(WAY)
