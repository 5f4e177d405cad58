from __future__ import annotations

import re

import pandas as pd
import pytest

from mammoseg_lib import paths
from mammoseg_lib.reports import readme


@pytest.mark.slow
def test_the_readme_is_in_step_with_results_and_notebooks():
    """If this fails: `python -m mammoseg_lib.reports.readme`."""
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_parts(text, readme.parts()) == text


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", readme.README.read_text(encoding="utf-8"))
    assert len(links) > 20
    assert [link for link in links if not (paths.PROJECT / link).exists()] == []


def test_as_many_runs_were_made_on_an_accelerator_as_the_readme_says():
    said = re.search(r"(\d+) of the\s+runs in `data/results`", readme.README.read_text(encoding="utf-8"))
    shipped = pd.concat(pd.read_csv(path) for path in paths.results().glob("*.runs.csv"))
    made = shipped[shipped["device"].str.startswith(("NVIDIA H100", "NVIDIA H200"))]
    assert len(made) > int(said[1])
    assert set(made["torch"]) == {"2.11.0"}
