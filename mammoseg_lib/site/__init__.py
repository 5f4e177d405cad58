"""`make site`: notebooks, figures and tables as a web site that works from file://, without any request."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from mammoseg_lib import paths
from mammoseg_lib.notebooks import available
from mammoseg_lib.reports.gallery import outputs
from mammoseg_lib.site import notebooks, pages, parts
from mammoseg_lib.site.links import Links

HERE = Path(__file__).parent
MARK = ".made-by-mammoseg-site"
MATHJAX = "tex-svg-full.js"  # the whole of MathJax in one file, fonts included


class SiteError(RuntimeError):
    """The site cannot be built; the message says what is in the way."""


def build_site(out: Path | None = None) -> Path:
    """Build the web site from the committed notebooks and the figures that there are. Executes nothing.

    Args:
        out: Folder to write, by default .site below the project. A site that stands there is replaced;
            any other folder that is not empty is left alone.

    Returns:
        The first page, to be opened in a browser.

    Raises:
        SiteError: If a link leads nowhere, Sphinx finds fault with a page, or the folder holds other things.
    """
    out = (out or paths.home() / ".site").resolve()
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise SiteError(f"{out} is not empty and holds no site of this project; give another folder")
    shutil.rmtree(out, ignore_errors=True)
    source = out / "source"
    source.mkdir(parents=True)
    (out / MARK).touch()
    dead = write_sources(source)
    if dead:
        raise SiteError("links that lead nowhere:\n" + "\n".join(dead))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "2", "-d", out / "doctrees"]
    done = subprocess.run([*command, source, out / "html"], capture_output=True, text=True)
    if done.returncode:
        raise SiteError(f"Sphinx says:\n{done.stderr.strip()[-4000:]}")
    for folder in ("doctrees", "jupyter_execute"):  # what Sphinx and myst-nb keep for the next time
        shutil.rmtree(out / folder, ignore_errors=True)
    return out / "html" / "index.html"


def write_sources(source: Path) -> list[str]:
    """Write what Sphinx reads: the repository's pages and notebooks, and the pages that lead to them.

    Returns:
        The links that lead nowhere.
    """
    names = available()
    solutions = [name for name in names if (paths.NOTEBOOKS / "solutions" / f"{name}.ipynb").exists()]
    titles = {name: notebooks.title(paths.NOTEBOOKS / f"{name}.ipynb") for name in names}
    _static(source)
    everything = outputs()
    places = {f"notebooks/{name}.ipynb": name for name in names}
    places |= {f"notebooks/solutions/{name}.ipynb": "" for name in solutions}
    shown = {}
    for place, name in places.items():
        of_it = [each for each in everything if each.notebook == name]
        shown[place] = notebooks.Page(paths.PROJECT / place, place, of_it, source)
        everything += shown[place].missing
    thumbnails = {
        each.id: parts.thumbnail(each.files[0], each.id, source) for each in everything if not each.is_table
    }
    for name in names:
        if first := shown[f"notebooks/{name}.ipynb"].pictures[:1]:
            thumbnails[name] = parts.thumbnail(first[0], name, source)
    documents = _documents()
    written = {
        "index.md": pages.index(everything, thumbnails),
        "papers/index.md": pages.papers_index(),
        **{f"papers/{paper.key}.md": pages.paper_page(paper, everything) for paper in pages.papers()},
        "notebooks/index.md": pages.notebooks_index(titles, thumbnails),
        "notebooks/solutions/index.md": pages.solutions_index({name: titles[name] for name in solutions}),
        "gallery.md": pages.gallery(titles, everything, thumbnails),
        "guide.md": pages.guide({place: _heading(text) for place, text in documents.items()}),
        **{f"figures/{each.id}.md": pages.output_page(each, titles) for each in everything},
    }
    links = Links(source, {*written, *documents, *places}, _folders(documents, everything))
    written |= {place: links.rewrite(text, place) for place, text in documents.items()}
    written |= {place: page.text(links) for place, page in shown.items()}
    for place, text in written.items():
        _write(source / place, text)
    for each in everything:
        for path in (*each.files, each.sidecar):
            target = source / "figures" / Path(each.id).with_suffix(path.suffix)
            if path.exists() and path != target:
                shutil.copyfile(path, target)
    return links.dead


def _documents() -> dict[str, str]:
    """The repository's pages that are no notebooks: text by place."""
    found = [paths.PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    found += [*sorted(paths.NOTEBOOKS.glob("*.md")), paths.PROJECT / "data" / "README.md"]
    found += sorted(paths.PROJECT.glob("data/*/README.md"))
    return {
        path.relative_to(paths.PROJECT).as_posix(): path.read_text(encoding="utf-8")
        for path in found
        if path.exists()
    }


def _folders(documents: dict[str, str], everything: list) -> dict[str, str]:
    """The page that stands for a folder which a link names."""
    folders = {
        ".": "index.md",
        "notebooks": "notebooks/index.md",
        "notebooks/solutions": "notebooks/solutions/index.md",
        "figures": "gallery.md",
        "mammoseg_lib/papers": "papers/index.md",
    }
    folders |= {f"figures/{Path(each.id).parent.as_posix()}": "gallery.md" for each in everything}
    return folders | {
        str(Path(place).parent.as_posix()): place for place in documents if place.startswith("data/")
    }


def _static(source: Path) -> None:
    """Settings, style and MathJax."""
    (source / "_static").mkdir()
    shutil.copyfile(HERE / "conf.py", source / "conf.py")
    shutil.copyfile(HERE / "site.css", source / "_static" / "site.css")
    try:
        files = metadata.files("sphinx-mathjax-offline") or []
        mathjax = next(Path(file.locate()) for file in files if file.name == MATHJAX)
    except (metadata.PackageNotFoundError, StopIteration):
        raise SiteError(
            "MathJax is missing: install what the extra `site` lists (sphinx-mathjax-offline)"
        ) from None
    shutil.copyfile(mathjax, source / "_static" / "mathjax.js")


def _heading(text: str) -> str:
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
