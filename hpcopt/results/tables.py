"""Tables of several finished runs: the contents of `compare.csv`, and the table printed at the end.

The numbers come from a pure function of records; rich only formats them, and only when a table is shown. Without
colour, in a batch log 100 columns wide, the tables contain the same information.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hpcopt.files import written_whole
from hpcopt.results.formats import megabytes, number
from hpcopt.results.goal import Goal
from hpcopt.results.record import WHERE_THERE, Record
from hpcopt.results.stopping import Status

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (
    *("solver", "reached", "rounds", "seconds", "bytes", "objective", "grad_norm", "work"),
    *WHERE_THERE,
    *("status", "total_rounds", "total_seconds", "total_bytes", "total_bytes_up", "total_bytes_down"),
)
"""Columns of `compare.csv`."""


class Finished(Protocol):
    """The interface of a finished run that tables need."""

    @property
    def label(self) -> str:
        """Its label."""

    @property
    def records(self) -> Sequence[Record]:
        """Its records."""

    @property
    def result(self) -> Mapping[str, Any]:
        """As in `run.json`: status, message, rounds, seconds, bytes, work, objective, grad_norm, test measures."""


def first_at(records: Sequence[Record], target: float) -> Record | None:
    """Return the first record whose objective is at most `target`; None if there is none."""
    return next((record for record in records if record.objective <= target), None)


def compare_rows(runs: Sequence[Finished], goal: Goal | None = None) -> list[dict[str, Any]]:
    """Return the rows of `compare.csv`, one per run, in the given order.

    Parameters
    ----------
    runs
        The runs to compare.
    goal
        The measure by which they are judged. Without a target, `reached` is None and the totals are the costs.

    Returns
    -------
    list of dict
        With the keys `COLUMNS`. `rounds`, `seconds` and `bytes` (also `_up` and `_down`, if measured) are those of the
        first record that reached the target, or None; those of the whole run are in `total_...`. `objective`,
        `grad_norm` and the test measures are those of the final model, and `work` (passes over the data) is the total.
        Missing values are None.
    """
    return [_compare_row(run, goal or Goal()) for run in runs]


def write_csv(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows, at least one, as CSV: full precision, `true` and `false`, empty for missing values."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with written_whole(Path(path)) as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def compare_table(rows: Sequence[Mapping[str, Any]], goal: Goal | None = None, title: str | None = None) -> Table:
    """Return the table of a comparison; on a terminal, the lowest rounds, MB and seconds are bold.

    MB are divided into those that went up and those that came down, if a run has more of the one than of the other.

    Parameters
    ----------
    rows
        From `compare_rows`.
    goal
        The goal passed to `compare_rows`; its column is the objective shown.
    title
        Printed above the table.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    goal = goal or Goal()
    apart = [row["consensus"] is not None for row in rows]
    whose = goal.whose(apart)
    caption = whose if any(apart) else ""
    if goal.target is not None:
        caption = f"rounds, MB and seconds until the {whose} is at most {goal.target:.8g}"
    seeds = max((row.get("seeds", 1) for row in rows), default=1)
    if seeds > 1:
        medians = f"medians of {seeds} seeds, with quartiles below"
        caption = f"{caption}; {medians}" if caption else medians
    table = Table(
        title=title and escape(title), caption=caption or None, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("\nsolver", overflow="fold")
    tests = [name for name in ("test_accuracy", "test_error") if any(row[name] is not None for row in rows)]
    slots, zeros = (any(row[name] is not None for row in rows) for name in ("slots", "nonzeros"))
    if slots:
        table.add_column("\nslots", justify="right", no_wrap=True)
    costs = {"rounds": "\nrounds", **_sent(rows), "seconds": "\nseconds"}
    for name in (*costs.values(), "final\nobjective", "gradient\nnorm", "passes\nover data"):
        table.add_column(name, justify="right", no_wrap=True)
    if any(apart):
        table.add_column("distance\nto mean", justify="right", no_wrap=True)
    if zeros:
        table.add_column("non-zero\nweights", justify="right", no_wrap=True)
    for name in tests:
        table.add_column(name.replace("_", "\n"), justify="right", no_wrap=True)
    best = {key: min((row[key] for row in rows if row[key] is not None), default=None) for key in costs}
    for row in rows:
        table.add_row(
            escape(f"{row['solver']} {row.get('parameters', '')}".rstrip()),
            *([number(row["slots"], ",d")] if slots else []),
            *(cost_words(row, key, best[key]) for key in costs),
            "diverged" if has_diverged(row["status"]) else number(judged(row, goal.column), "#.6g"),
            number(row["grad_norm"], ".1e"),
            number(row["work"], ",.1f"),
            *([number(row["consensus"], ".1e")] if any(apart) else []),
            *([number(row["nonzeros"], ",d")] if zeros else []),
            *(number(row[name], ".4f") for name in tests),
        )
    return table


def _sent(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the columns of the bytes and their names: the total, or both directions, or all if some runs have none."""
    total, directions = {"bytes": "\nMB"}, {"bytes_up": "MB\nup", "bytes_down": "MB\ndown"}
    if all(row["total_bytes_up"] == row["total_bytes_down"] for row in rows):
        return total
    return directions if all(row["total_bytes_up"] is not None for row in rows) else total | directions


_COSTS = {"rounds": ",d", "bytes": "", "seconds": ".4g", "bytes_up": "", "bytes_down": ""}
"""The costs of reaching the target, and their formats (bytes as MB)."""

_IN_TRACE = {"rounds": "round"}
"""Their names in a record, if different."""


def has_diverged(status: str) -> bool:
    """Return whether a run with this status in run.json diverged, or all of several runs did."""
    return all(Status[one.upper()].diverged for one in status.split(", "))


def judged(row: Mapping[str, Any], column: str) -> float | None:
    """Return the objective in a row by which the run is judged: that in `column` if its nodes have their own models."""
    value: float | None = row["objective" if row["consensus"] is None else column]
    return value


def _compare_row(run: Finished, goal: Goal) -> dict[str, Any]:
    result = run.result
    total = {key: result.get(key) for key in _COSTS}
    reached, cost, beside = None, total, dict[str, Any]()
    if goal.target is not None:
        there = first_at(goal.judged(run.records), goal.target)
        reached, found = there is not None, {} if there is None else there.as_dict()
        cost = {key: found.get(_IN_TRACE.get(key, key)) for key in total}
        beside = {key: found[key] for key in ("model_bytes", "gradients", "slots", "bytes_by_link") if key in found}
    row = {
        **result,
        **cost,
        **beside,
        **{f"total_{key}": value for key, value in total.items()},
        "solver": run.label,
        "reached": reached,
    }
    return {key: row.get(key) for key in COLUMNS}


def cost_words(row: Mapping[str, Any], key: str, best: float | None = None) -> str:
    """Return a cost as tables show it, bold if it is the best of all."""
    value = row[key]
    if value is None:
        some = f"{row['seeds_reached']} of {row['seeds']} seeds" if row.get("seeds_reached") else "not reached"
        return some if key == "rounds" else "-"
    text = _cost(value, key)
    text = f"[bold]{text}[/bold]" if value == best else text
    low, high = (row.get(f"{key}_q{part}") for part in (1, 3))
    if low in (None, high):
        return text
    quartiles = [_cost(low, key, digits=3), "never" if high is None else _cost(high, key, digits=3)]
    return f"{text}\n{' - '.join(quartiles)}"


def _cost(value: float, key: str, digits: int = 4) -> str:
    if key.startswith("bytes"):
        return megabytes(value)
    return number(value, _COSTS[key].replace("4", str(digits)))


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{name}={number}" for name, number in value.items())
    return str(value).lower() if isinstance(value, bool) else value
