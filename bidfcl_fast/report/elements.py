"""Pieces of the page: paragraphs, tables with units, figures with captions. Text is escaped here."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .css import CSS


def document(title: str, body: str, css: str = "") -> str:
    """A whole page that needs nothing else: no script, no font, no network. `body` is HTML already."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{CSS}{css}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        "</body>\n</html>\n"
    )


def paragraph(*sentences: str, css: str = "") -> str:
    opened = f'<p class="{css}">' if css else "<p>"
    return f"{opened}{escape(' '.join(sentences))}</p>"


def table(header: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells that are already HTML; header cells with their units below."""
    head = "".join(f"<th>{escape(name)}<small>{escape(unit)}</small></th>" for name, unit in header)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def plus_minus(middle: str, half: str) -> str:
    return f'{escape(middle)} <span class="pm">± {escape(half)}</span>'


def figure(svg: str, caption: str, key: Sequence[tuple[str, str, str]] = ()) -> str:
    """A figure with its caption; `key` holds (colour, mark, what it stands for)."""
    named = "".join(f'<span><b class="{c}">{escape(mark)}</b> {escape(what)}</span>' for c, mark, what in key)
    named = f'<div class="key">{named}</div>' if named else ""
    return f"<figure>{named}{svg}<figcaption>{escape(caption)}</figcaption></figure>"
