"""Parts of the README made from results and notebooks: `python -m mammoseg_lib.reports.readme`."""

from __future__ import annotations

import json
import re

from mammoseg_lib import paths
from mammoseg_lib.reports import claims

README = paths.PROJECT / "README.md"


def parts() -> dict[str, str]:
    """Name of each part to its Markdown: the verdicts on the papers' claims, and the list of notebooks."""
    return {"verdicts": claims.readme_table(), "notebooks": notebook_table()}


def notebook_table() -> str:
    """Every notebook with the question that it answers, from its own first cell."""
    lines = ["| notebook | what it answers |", "|---|---|"]
    for path in sorted(paths.NOTEBOOKS.glob("[0-9]*.ipynb")):
        opening = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        title = opening.splitlines()[0].removeprefix("# ")
        question = re.search(r"\*\*([^*]+\?)\*\*", opening)
        lines.append(
            f"| [{path.stem[:2]} {title}](notebooks/{path.name}) | {question[1] if question else ''} |"
        )
    return "\n".join(lines)


def with_parts(text: str, made: dict[str, str]) -> str:
    """The README with its parts renewed; each stands between two comments with its name."""
    for name, part in made.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(\n?<!-- end of {name} -->)", re.DOTALL)
        text, count = marks.subn(lambda found, part=part: f"{found[1]}{part}\n{found[2].strip()}", text)
        if count != 1:
            raise ValueError(f"README.md has no place for {name!r}")
    return text


if __name__ == "__main__":
    README.write_text(with_parts(README.read_text(encoding="utf-8"), parts()), encoding="utf-8")
