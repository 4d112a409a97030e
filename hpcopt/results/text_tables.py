"""The table of a comparison for documents: LaTeX with booktabs, and Markdown. Names are shown to the letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.results.columns import Column, Shown, caption_of, columns_of
from hpcopt.results.goal import Goal

FORMATS = ("tex", "md")
"""The formats, which are the suffixes of their files."""

_TEX = str.maketrans(
    {
        **{letter: rf"\{letter}" for letter in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
    }
)
_MARKDOWN = str.maketrans({letter: rf"\{letter}" for letter in r"\`*_{}[]<>#|&~$"})
_POWER = re.compile(r"(-?[\d.]+)e([+-]\d+)")


def checked_format(name: str) -> str:
    """Return the name of a format.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"table: expected one of {', '.join(FORMATS)}; got {name!r}")
    return name


def write_table(rows: Sequence[Mapping[str, Any]], goal: Goal, path: Path) -> None:
    """Write the rows of compare.csv as a table of the format that the suffix of `path` names."""
    columns, caption = columns_of(rows, goal), caption_of(rows, goal, "in brackets")
    with written_whole(path) as file:
        file.write(in_tex(columns, caption) if path.suffix == ".tex" else in_markdown(columns, caption))


def in_tex(columns: Sequence[Column], caption: str) -> str:
    r"""Return a tabular environment, to be included by \input; the caption is a comment."""
    lines = [
        r"% needs \usepackage{booktabs}",
        *([f"% {caption}"] if caption else []),
        rf"\begin{{tabular}}{{{''.join('r' if column.is_number else 'l' for column in columns)}}}",
        r"\toprule",
        " & ".join(one_line(column.head).translate(_TEX) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in _rows(columns, _tex_cell)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def in_markdown(columns: Sequence[Column], caption: str) -> str:
    """Return a table, with the caption as a paragraph below."""
    lines = [
        _markdown_row([for_markdown(column.head) for column in columns]),
        _markdown_row(["---:" if column.is_number else "---" for column in columns]),
        *(_markdown_row(row) for row in _rows(columns, _markdown_cell)),
        *(["", for_markdown(caption)] if caption else []),
    ]
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """Return a text in one line, of printable characters only."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def for_markdown(text: str) -> str:
    """Return a text in one line in which no character has a meaning in Markdown."""
    return one_line(text).translate(_MARKDOWN)


def _rows(columns: Sequence[Column], shown: Callable[[Shown, bool], str]) -> list[list[str]]:
    cells = zip(*(column.cells for column in columns), strict=True)
    return [[shown(cell, column.is_number) for cell, column in zip(row, columns, strict=True)] for row in cells]


def _tex_cell(cell: Shown, is_number: bool) -> str:
    if not is_number:
        text = one_line(cell.text)
        return ("{}" if text.startswith(("[", "*")) else "") + text.translate(
            _TEX
        )  # after \\\\ they mean something else
    text = _tex_number(cell.text)
    text = rf"\textbf{{{text}}}" if cell.is_best else text
    return text if cell.quartiles is None else f"{text} [{'--'.join(map(_tex_number, cell.quartiles))}]"


def _tex_number(text: str) -> str:
    if text == "-":
        return "--"
    return _POWER.sub(lambda found: rf"${found[1]}\times 10^{{{int(found[2])}}}$", text)


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Shown, is_number: bool) -> str:
    if not is_number:
        return for_markdown(cell.text)
    text = f"**{cell.text}**" if cell.is_best else cell.text
    return text if cell.quartiles is None else rf"{text} \[{' - '.join(cell.quartiles)}\]"
