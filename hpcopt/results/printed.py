"""Tables as printed; without colour, in a batch log, it contains the same information.

rich is imported only when a table is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpcopt.results.columns import Column, Shown, caption_of, columns_of
from hpcopt.results.goal import Goal

if TYPE_CHECKING:
    from rich.table import Table


def compare_table(rows: Sequence[Mapping[str, Any]], goal: Goal | None = None, title: str | None = None) -> Table:
    """Return the table of a comparison; on a terminal, the lowest rounds, MB and seconds are bold.

    Parameters
    ----------
    rows
        Those of compare.csv.
    goal
        The measure by which the runs were judged; its column is the objective shown.
    title
        Printed above the table.
    """
    goal = goal or Goal()
    return printed(columns_of(rows, goal), caption_of(rows, goal, "below"), title)


def printed(columns: Sequence[Column], caption: str = "", title: str | None = None) -> Table:
    """Return a table of these columns."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=title and escape(title),
        caption=escape(caption) or None,
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        head = column.head if "\n" in column.head else f"\n{column.head}"
        if column.is_number:
            table.add_column(head, justify="right", no_wrap=True)
        else:
            table.add_column(head, overflow="fold")
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*map(in_markup, cells))
    return table


def in_markup(cell: Shown) -> str:
    """Return a cell in rich's markup, with quartiles in a second line."""
    from rich.markup import escape

    text = f"[bold]{cell.text}[/bold]" if cell.is_best else escape(cell.text)
    return text if cell.quartiles is None else f"{text}\n{' - '.join(cell.quartiles)}"
