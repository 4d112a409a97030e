"""A document of headings, paragraphs, tables, commands and pictures, as one HTML file or as Markdown.

Texts come from specifications, labels and paths: they are shown to the letter, and no character of them is markup.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from hpcopt.results.columns import Column, Shown
from hpcopt.results.text_tables import for_markdown, in_markdown, one_line

_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; }
.wide { overflow-x: auto; } img { max-width: 100%; }
table { border-collapse: collapse; font-size: 0.9em; } caption { caption-side: bottom; text-align: left; color: #555; }
th, td { padding: 0.2em 0.8em; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }
td { overflow-wrap: anywhere; } .number { text-align: right; white-space: nowrap; }
pre { background: #f4f4f4; padding: 0.6em; overflow-x: auto; }
"""


@dataclass(frozen=True)
class Heading:
    """A heading of a section."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    columns: Sequence[Column]
    caption: str = ""


@dataclass(frozen=True)
class Commands:
    """Lines to be typed."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Picture:
    """A picture in a PNG file, and what it shows."""

    path: Path
    shows: str


_MARK = "written by hpcopt report"  # how a report is told from other files

Block = Heading | Paragraph | Table | Commands | Picture


def plain_table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", *, texts: int = 1) -> Table:
    """Return a table of texts; its columns from the number `texts` on are aligned to the right."""
    cells = zip(*rows, strict=True)
    return Table(
        [
            Column(head, [Shown(text) for text in column], is_number=place >= texts)
            for place, (head, column) in enumerate(zip(heads, cells, strict=True))
        ],
        caption,
    )


def side_by_side(names: Sequence[str], tables: Sequence[Mapping[str, str]]) -> list[Table]:
    """Return a table of what is common to all runs, and one of the keys that differ, with a column for each run."""
    keys = dict.fromkeys(key for table in tables for key in table)
    same = [key for key in keys if all(table.get(key) == tables[0].get(key) for table in tables)]
    common = [(key, tables[0][key]) for key in same]
    other = [(key, *(table.get(key, "-") for table in tables)) for key in keys if key not in same]
    told = "the same in all runs" if len(tables) > 1 else ""
    return [
        *([plain_table(("key", "value"), common, told, texts=2)] if common else []),
        *([plain_table(("key", *names), other, "different", texts=1 + len(names))] if other else []),
    ]


def in_html(title: str, blocks: Sequence[Block]) -> str:
    """Return one self-contained HTML file, pictures included."""
    marks = f'<meta charset="utf-8">\n<meta name="generator" content="{_MARK}">'
    head = f"{marks}\n<title>{_html(title)}</title>\n<style>{_STYLE}</style>"
    body = "\n".join([f"<h1>{_html(title)}</h1>", *map(_html_block, blocks)])
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return a Markdown file, whose pictures are expected beside it."""
    return "\n".join([f"# {for_markdown(title)}\n", *map(_markdown_block, blocks), f"<!-- {_MARK} -->\n"])


def is_report(path: Path, showing: Path | None = None) -> bool:
    """Return whether a file is a report; with `showing`, also whether it shows that picture beside it."""
    text = path.read_bytes()
    there = showing is None or f"]({quote(showing.name)})".encode() in text
    return _MARK.encode() in text and there


def _html_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{_html(block.text)}</h2>"
    if isinstance(block, Paragraph):
        return f"<p>{_html(block.text)}</p>"
    if isinstance(block, Commands):
        lines = "\n".join(map(_html, block.lines))
        return f"<pre>{lines}</pre>"
    if isinstance(block, Picture):
        coded = base64.b64encode(block.path.read_bytes()).decode()
        return f'<p><img src="data:image/png;base64,{coded}" alt="{_html(block.shows)}"></p>'
    caption = f"<caption>{_html(block.caption)}</caption>" if block.caption else ""
    kinds = [' class="number"' if column.is_number else "" for column in block.columns]
    heads = "".join(f"<th{kind}>{_html(one.head)}</th>" for one, kind in zip(block.columns, kinds, strict=True))
    rows = zip(*(column.cells for column in block.columns), strict=True)
    cells = [
        "".join(f"<td{kind}>{_html_cell(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) for row in rows
    ]
    inside = "\n".join([caption, f"<tr>{heads}</tr>", *(f"<tr>{line}</tr>" for line in cells)])
    return f'<div class="wide"><table>{inside}</table></div>'


def _html_cell(cell: Shown) -> str:
    text = f"<b>{_html(cell.text)}</b>" if cell.is_best else _html(cell.text)
    return text if cell.quartiles is None else f"{text} [{_html(' - '.join(cell.quartiles))}]"


def _html(text: str) -> str:
    return escape(one_line(text))


def _markdown_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"## {for_markdown(block.text)}\n"
    if isinstance(block, Paragraph):
        return f"{for_markdown(block.text)}\n"
    if isinstance(block, Commands):
        return "".join(f"    {one_line(line)}\n" for line in block.lines)
    if isinstance(block, Picture):
        return f"![{for_markdown(block.shows)}]({quote(block.path.name)})\n"
    return in_markdown(block.columns, block.caption)
