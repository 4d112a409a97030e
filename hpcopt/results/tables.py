"""The numbers of several finished runs: the contents of `compare.csv`, a pure function of records."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from hpcopt.files import written_whole
from hpcopt.results.goal import Goal
from hpcopt.results.record import WHERE_THERE, Record
from hpcopt.results.stopping import Status

COLUMNS = (
    *("solver", "reached", "rounds", "seconds", "bytes", "objective", "suboptimality", "grad_norm", "work"),
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
        `suboptimality` is the distance of the judged objective to the optimum, if that is known.
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


_COSTS = ("rounds", "bytes", "seconds", "bytes_up", "bytes_down")
"""The costs of reaching the target."""

_IN_TRACE = {"rounds": "round"}
"""Their names in a record, if different."""


def has_diverged(status: str) -> bool:
    """Return whether a run with this status in run.json diverged, or all of several runs did."""
    return {one.upper() for one in status.split(", ")} <= {each.name for each in Status if each.diverged}


def judged(row: Mapping[str, Any], column: str) -> float | None:
    """Return the objective in a row by which the run is judged: that in `column` if its nodes have their own models."""
    value: float | None = row.get("objective" if row.get("consensus") is None else column)
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
        **dict.fromkeys(COLUMNS),
        **result,
        **cost,
        **beside,
        **{f"total_{key}": value for key, value in total.items()},
        "solver": run.label,
        "reached": reached,
    }
    final = judged(row, goal.column)
    row["suboptimality"] = None if final is None or goal.optimum is None else final - goal.optimum
    return {key: row.get(key) for key in COLUMNS}


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return " ".join(f"{name}={number}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else value
