"""Tables of a comparison's grids: the best cell of each, `grid.csv`, and the table of one grid printed at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpcopt.results.choice import Contender, in_words
from hpcopt.results.columns import cost, final, final_head
from hpcopt.results.printed import in_markup

if TYPE_CHECKING:
    from rich.table import Table

MOST_SHOWN = 30  # cells of a printed grid; grid.csv has all


def best_rows(contenders: Sequence[Contender[Any]]) -> list[dict[str, Any]]:
    """Return the rows of compare.csv: the best cell of each contender, with its `parameters` if there is a grid."""
    some = any(contender.is_grid for contender in contenders)
    rows = []
    for contender in contenders:
        best = contender.best
        row = dict(best.row)
        del row["solver"]
        rows.append(
            {"solver": contender.label, **({"parameters": " ".join(in_words(best.values))} if some else {}), **row}
        )
    return rows


def grid_rows(contenders: Sequence[Contender[Any]]) -> list[dict[str, Any]]:
    """Return the rows of grid.csv: every cell, with a column for each key of a grid; `best` marks the best ones."""
    keys = dict.fromkeys(key for contender in contenders for cell in contender.cells for key in cell.values)
    rows = []
    for contender in contenders:
        best = contender.best
        for cell in contender.cells:
            row = dict(cell.row)
            values = {key: cell.values.get(key) for key in keys}
            del row["solver"]
            rows.append({"solver": contender.label, **values, "best": cell is best, **row})
    return rows


def grid_table(contender: Contender[Any]) -> Table:
    """Return the printed table of a grid; of many cells the best ones, in their order."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    best = contender.best
    shown = [contender.cells[place] for place in sorted(contender.ranking[:MOST_SHOWN])]
    left = len(contender.cells) - len(shown)
    table = Table(
        title=f"grid of {escape(contender.label)}, best by {contender.criterion}",
        caption=f"{left:,} worse combinations are not shown" if left else None,
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    keys = list(dict.fromkeys(key for cell in contender.cells for key in cell.values))
    for key in keys:
        table.add_column(escape(key), justify="right", overflow="fold")
    for name in ("rounds", "MB", "seconds", final_head(best.goal).replace("\n", " "), ""):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in shown:
        row = cell.row
        told = {word.partition("=")[0]: word.partition("=")[2] for word in in_words(cell.values)}
        table.add_row(
            *(escape(told.get(key, "")) for key in keys),
            *(in_markup(cost(row, key)) for key in ("rounds", "bytes", "seconds")),
            final(row, cell.goal),
            "best" if cell is best else "",
        )
    return table
