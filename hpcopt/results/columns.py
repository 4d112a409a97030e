"""What the table of a comparison shows, column by column: printed, in LaTeX and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpcopt.results.formats import megabytes, number
from hpcopt.results.goal import Goal
from hpcopt.results.tables import has_diverged, judged

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """A cell.

    Parameters
    ----------
    text
        What it shows.
    quartiles
        The quartiles over seeds; None for one run, and where they are equal.
    is_best
        Whether it is the lowest of its column.
    """

    text: str
    quartiles: tuple[str, str] | None = None
    is_best: bool = False


@dataclass(frozen=True)
class Column:
    """A column.

    Parameters
    ----------
    head
        Its name, in at most two lines.
    cells
        One for each row.
    is_number
        Whether it is aligned to the right.
    """

    head: str
    cells: list[Shown]
    is_number: bool = True


_COSTS = {"rounds": ",d", "bytes": "", "seconds": ".4g", "bytes_up": "", "bytes_down": ""}
"""The costs of reaching the target, and their formats (bytes as MB)."""


def columns_of(rows: Sequence[Row], goal: Goal) -> list[Column]:
    """Return the columns for the rows of compare.csv.

    MB are divided into those that went up and those that came down, if a run has more of the one than of the other.
    """

    def column(head: str, text: Callable[[Row], str], *, is_number: bool = True) -> Column:
        return Column(head, [Shown(text(row)) for row in rows], is_number)

    def there(name: str) -> bool:
        return any(row[name] is not None for row in rows)

    costs = {"rounds": "rounds", **_sent(rows), "seconds": "seconds"}
    best = {key: min((row[key] for row in rows if row[key] is not None), default=None) for key in costs}
    return [
        column("solver", lambda row: f"{row['solver']} {row.get('parameters', '')}".rstrip(), is_number=False),
        *([column("slots", lambda row: number(row["slots"], ",d"))] if there("slots") else []),
        *(Column(head, [cost(row, key, best[key]) for row in rows]) for key, head in costs.items()),
        column(final_head(goal), lambda row: final(row, goal)),
        column("gradient\nnorm", lambda row: number(row["grad_norm"], ".1e")),
        column("passes\nover data", lambda row: number(row["work"], ",.1f")),
        *([column("distance\nto mean", lambda row: number(row["consensus"], ".1e"))] if there("consensus") else []),
        *([column("non-zero\nweights", lambda row: number(row["nonzeros"], ",d"))] if there("nonzeros") else []),
        *(
            [column("test\naccuracy", lambda row: number(row["test_accuracy"], ".4f"))]
            if there("test_accuracy")
            else []
        ),
        *([column("test\nerror", lambda row: number(row["test_error"], ".4f"))] if there("test_error") else []),
    ]


def caption_of(rows: Sequence[Row], goal: Goal, quartiles: str) -> str:
    """Return what the numbers are; empty if there is nothing to say.

    Parameters
    ----------
    quartiles
        Where the quartiles over seeds are.
    """
    apart = [row["consensus"] is not None for row in rows]
    whose, parts = goal.whose(apart), []
    if goal.target is not None:
        near = "" if goal.optimum is None else f", {goal.target - goal.optimum:.3g} above the optimum"
        parts.append(f"rounds, MB and seconds until the {whose} is at most {goal.target:.8g}{near}")
    elif any(apart):
        parts.append(whose)
    if goal.optimum is not None and goal.target is None:
        parts.append(f"optimum {goal.optimum:.8g}")
    seeds = max((row.get("seeds", 1) for row in rows), default=1)
    if seeds > 1:
        parts.append(f"medians of {seeds} seeds, with quartiles {quartiles}")
    return "; ".join(parts)


def _sent(rows: Sequence[Row]) -> dict[str, str]:
    """Return the columns of the bytes and their heads: the total, or both directions, or all if some runs have none."""
    total, directions = {"bytes": "MB"}, {"bytes_up": "MB\nup", "bytes_down": "MB\ndown"}
    if all(row["total_bytes_up"] == row["total_bytes_down"] for row in rows):
        return total
    return directions if all(row["total_bytes_up"] is not None for row in rows) else total | directions


def final_head(goal: Goal) -> str:
    """Return the name of the column that shows `final`."""
    return "final\nobjective" if goal.optimum is None else "above\noptimum"


def final(row: Row, goal: Goal) -> str:
    """Return the final objective as tables show it, or its distance to the optimum if that is known."""
    if has_diverged(row["status"]):
        return "diverged"
    above = row["suboptimality"]
    return number(judged(row, goal.column), "#.6g") if above is None else number(above, ".2e")


def cost(row: Row, key: str, best: float | None = None) -> Shown:
    """Return a cost as tables show it, given the lowest of its column."""
    value = row[key]
    if value is None:
        some = f"{row['seeds_reached']} of {row['seeds']} seeds" if row.get("seeds_reached") else "not reached"
        return Shown(some if key == "rounds" else "-")
    low, high = (row.get(f"{key}_q{part}") for part in (1, 3))
    quartiles = None if low in {None, high} else (_cost(low, key, 3), "never" if high is None else _cost(high, key, 3))
    return Shown(_cost(value, key, 4), quartiles, value == best)


def _cost(value: float, key: str, digits: int) -> str:
    if key.startswith("bytes"):
        return megabytes(value)
    return number(value, _COSTS[key].replace("4", str(digits)))
