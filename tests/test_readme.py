from __future__ import annotations

import re

from mammoseg_lib.paths import PROJECT
from mammoseg_lib.reports import readme


def test_the_readme_is_in_step_with_results_and_notebooks():
    """If this fails: `python -m mammoseg_lib.reports.readme`."""
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_parts(text, readme.parts()) == text


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", readme.README.read_text(encoding="utf-8"))
    assert len(links) > 20
    assert [link for link in links if not (PROJECT / link).exists()] == []
