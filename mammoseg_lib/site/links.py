"""Links between the files of the repository, which its pages, notebooks and figures on the web site keep."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from mammoseg_lib import paths

NOT_HERE = ("figures/trained/", "figures/real/", "figures/mine/")  # git ignores them
FOLDERS = ("mammoseg_lib/", "tests/", "data/results")
LISTED = (".py", ".yaml", ".csv", ".json")
PAGES = (".md", ".ipynb")
# A link whose words may hold code, or code, in which nothing is a link.
_LINK = re.compile(
    r"(?P<code>```.*?```|`[^`\n]*`)|(?P<words>!?\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^()\s]+)\)",
    re.DOTALL,
)


class Links:
    """Rewrites the relative links of a page, and brings along what they point to.

    The sources of the site mirror the repository, so that most links stay as they are. A link to a folder
    leads to the page that stands for it, and a file that is no page (code, YAML, CSV) is copied along.

    Attributes:
        source: The folder of the site's sources.
        pages: Every page, as a path in the repository; a folder stands for the page that is its index.
        dead: Links whose target is not in the repository: "page: target".
    """

    def __init__(self, source: Path, pages: set[str], folders: dict[str, str]) -> None:
        """Start with the pages that there are, and the page that stands for each folder."""
        self.source, self.pages, self.folders = source, pages, folders
        self.dead: list[str] = []

    def rewrite(self, text: str, page: str) -> str:
        """The Markdown of `page` with its links as the site needs them; code is left alone."""
        return _LINK.sub(lambda found: self._link(found, page), text)

    def _link(self, found: re.Match, page: str) -> str:
        if found["code"]:
            return found["code"]
        words, target = self.rewrite(found["words"], page), self._target(found["target"], page)
        return f"{words}({target})" if target else words.lstrip("!")[1:-1]

    def _target(self, target: str, page: str) -> str | None:
        """Where a link leads on the site; None where it names a file that this machine has not made yet."""
        if re.match(r"[a-z]+:|<", target):
            return target
        path, hash_, anchor = target.partition("#")
        if (path or page).endswith(".ipynb"):
            anchor = slug(anchor)
            target = path + hash_ + anchor
        if not path:
            return target
        folder = PurePosixPath(page).parent
        place = os.path.normpath(folder / path).replace(os.sep, "/")
        if place in self.folders or self._listed(place):
            return os.path.relpath(self.folders[place], folder).replace(os.sep, "/") + hash_ + anchor
        if place not in self.pages and not self._copied(place):
            if place.startswith(NOT_HERE):
                return None
            self.dead.append(f"{page}: {target}")
        return target

    def _listed(self, place: str) -> bool:
        """Make a page that lists the files of a folder, where it is one of code or of results."""
        folder = paths.PROJECT / place
        if not place.startswith(FOLDERS) or not folder.is_dir():
            return False
        names = sorted(path.name for path in folder.iterdir() if path.suffix in LISTED)
        page = f"{place}/index.md"
        lines = [f"- [{name}]({name})" for name in names if self._copied(f"{place}/{name}")]
        (self.source / place).mkdir(parents=True, exist_ok=True)
        text = "\n".join(["---", "orphan: true", "---", f"# {place}", "", *lines, ""])
        (self.source / page).write_text(text, encoding="utf-8")
        self.folders[place] = page
        return True

    def _copied(self, place: str) -> bool:
        """Copy a file that is no page of the site, unless it is outside or not there."""
        path = paths.home() / place
        if not path.is_file():
            path = paths.PROJECT / place
        if place.startswith("..") or not path.is_file() or path.suffix in PAGES:
            return False
        (self.source / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.source / place)
        return True


def slug(anchor: str) -> str:
    """The address of a heading on the site, from that in JupyterLab: "2.-The-grid" is "2-the-grid"."""
    return re.sub(r"[^\w-]", "", unquote(anchor).lower())
