"""What the pages of the site are put together from: pictures, tables, cards, navigation."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from mammoseg_lib.reports.gallery import Output

THUMBNAIL = (480, 320)
SCREEN = 90 / 150  # a figure's size on the screen over that of its file; see plots.style
ROWS = 40  # of a table on a page; the file has all


def up(place: str) -> str:
    """The way from a page to the top of the site: "../" for each folder."""
    return "../" * place.count("/")


def shown(output: Output, top: str, *, link: bool = True) -> str:
    """A figure as a picture, a table as a table."""
    return table(output, top) if output.is_table else figure(output, top, link=link)


def figure(output: Output, top: str, *, link: bool = True) -> str:
    """A figure's picture at the size that it has in the notebook, and the way to its record."""
    with Image.open(output.files[0]) as image:
        width = round(image.width * SCREEN)
    place = f"{top}figures/{output.id}"
    return picture(f"{place}.png", output.alt, width, f"{place}.html" if link else "")


def picture(path: str, alt: str, width: int | None, target: str) -> str:
    """A picture, with a text for those who cannot see it, and where a click leads."""
    options = {"alt": quoted(alt), "width": f"{width}px" if width else "", "target": target}
    return "\n".join([
        f":::{{image}} {path}", *(f":{key}: {value}" for key, value in options.items() if value), ":::"
    ])  # fmt: skip


def table(output: Output, top: str) -> str:
    """The first rows of a table."""
    cells = output.table()
    body = cells.head(ROWS).to_html(index=False, border=0, escape=True)
    more = f"\n\nThe first {ROWS} of {len(cells)} rows; all are in [the file]({top}figures/{output.id}.csv)."
    return f"```{{raw}} html\n<div class='numbers'>{body}</div>\n```" + (more if len(cells) > ROWS else "")


def card(title: str, text: str, link: str, picture: list[str]) -> str:
    """A card that leads to a page; `picture` is what `preview` gives."""
    name = f"{title}: {text}" if text else title
    lines = [
        f"::::{{grid-item-card}} {title}",
        f":link: {link}",
        ":link-type: url",
        f":link-alt: {quoted(name)}",
    ]
    return "\n".join([*lines, *picture, "", text, "::::"])


def preview(what: Output | str | None, thumbnails: dict[str, str], top: str) -> list[str]:
    """The lines of a card that show a figure, the corner of a table, or a notebook's first picture."""
    if isinstance(what, Output) and what.is_table:
        return ["", ":::{card-header}", miniature(what), ":::"]
    key, alt = (what.id, what.alt) if isinstance(what, Output) else (what, f"From notebook {what}")
    return [f":img-top: {top}{thumbnails[key]}", f":img-alt: {quoted(alt)}"] if key in thumbnails else []


def miniature(output: Output) -> str:
    """The upper left corner of a table, as a picture of it."""
    corner = output.table().iloc[:6, :4].map(lambda text: text[:14])
    body = corner.rename(columns=lambda text: str(text)[:14]).to_html(index=False, border=0, escape=True)
    return f"```{{raw}} html\n<div aria-hidden='true'>{body}</div>\n```"


def thumbnail(picture: Path, name: str, source: Path) -> str:
    """Write a small picture, on a white card of one size; returns its place among the sources."""
    place = f"_thumbnails/{name.replace('/', '-')}.png"
    with Image.open(picture) as image:
        # Of a tall figure the upper part, in which something can be made out.
        small = image.convert("RGB").crop((0, 0, image.width, min(image.height, image.width)))
        small.thumbnail(THUMBNAIL)
    canvas = Image.new("RGB", THUMBNAIL, "white")
    canvas.paste(small, tuple((a - b) // 2 for a, b in zip(THUMBNAIL, small.size, strict=True)))
    (source / place).parent.mkdir(exist_ok=True)
    canvas.save(source / place, optimize=True)
    return place


def grid(cards: list[str], columns: int = 4) -> str:
    """Cards side by side, as many as fit."""
    return "\n".join([f":::::{{grid}} 2 2 3 {columns}", ":gutter: 3", "", *cards, ":::::"])


def toctree(*places: str, caption: str = "") -> str:
    """A hidden table of contents, from which the theme makes its navigation."""
    lines = ["```{toctree}", ":hidden:", *([f":caption: {caption}"] if caption else []), "", *places, "```"]
    return "\n".join(lines)


def anchor(words: str) -> str:
    """The address of a heading on its page: "figure-1"."""
    return words.lower().replace(" ", "-")


def toward(output: Output, top: str) -> str:
    """A link to the record of a figure or table."""
    return f"[{output.title} (notebook {output.notebook[:2]})]({top}figures/{output.id}.md)"


def cell(text: str) -> str:
    """A text as it stands, in a cell of a Markdown table."""
    return "".join(f"&#{ord(c)};" if c in "&<>|*_$`[]\\" else c for c in text)


def quoted(text: str) -> str:
    """A text as the value of an option, on one line."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)
