"""Whether finished runs can be drawn in one picture: they must be of the same problem, unless the user overrides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcopt.portions import portion
from hpcopt.results.canvas import shortened
from hpcopt.results.goal import Goal, agreed
from hpcopt.results.record import Record
from hpcopt.spec.labels import flat

Value = str | float | None

_ELSEWHERE = {"test", "test_labels", "storage", "start", "optimum"}
"""Keys of [data] and [problem] that do not affect the objective, or are compared separately."""

MEASURED = "data's "
"""Beginning of the keys that are measured, and differ as others do."""

_SIZES = {"kind", "workers"}  # of [cluster], told as nodes
_VALUE = 40  # most characters of a value in a label
_FILES = {"path", "labels"}
_SAME = 1e-6  # relative, between a start stored in float32 and one in float64
_START = "the data (objective and gradient at the start)"


def differences(runs: Sequence[tuple[Mapping[str, Any], Sequence[Record]]]) -> dict[str, list[Value]]:
    """Return the differences between the problems of runs, given run.json and records of each: key -> values.

    Compared are the tables [data] and [problem], except for keys that do not affect the objective; the numbers of rows
    and features, and the checksum of the rows, in place of the names of files, if all runs have it; and the first
    records: for the same problem and starting point, objective and gradient norm are equal.
    """
    summed = all("checksum" in described.get("data", {}) for described, _ in runs)
    told = [_problem(described, summed=summed) for described, _ in runs]
    keys = dict.fromkeys(key for one in told for key in one)
    table = {key: [one.get(key) for one in told] for key in keys}
    unlike = {key: values for key, values in table.items() if any(value != values[0] for value in values)}
    optima = [Goal.of(described).optimum for described, _ in runs]
    if any(optimum is not None for optimum in optima) and agreed(optima) is None:
        unlike["problem.optimum"] = list(optima)
    starts = [_start(described, records) for described, records in runs]
    if not unlike and not _alike([start for start in starts if start is not None]):
        unlike[_START] = [None if start is None else f"{start[1]:.6g}, {start[2]:.6g}" for start in starts]
    return unlike


def circumstances(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return additions to each curve's label, given run.json of each; empty if all are the same.

    These are nodes, clock and start, what else differs in [cluster], and whether a run is unfinished.
    """
    told = [_circumstances(described) for described in runs]
    known = dict.fromkeys(key for one in told for key in one)
    keys = [key for key in known if len({one.get(key, "") for one in told if key in one or not _is_own(key)}) > 1]
    unfinished = ["" if described.get("result") else "unfinished" for described in runs]
    return [
        ", ".join(part for part in (*(one.get(key) for key in keys), state) if part)
        for one, state in zip(told, unfinished, strict=True)
    ]


def _problem(described: Mapping[str, Any], *, summed: bool) -> dict[str, Value]:
    """Return the keys and values that determine the objective; if `summed`, rows are known by their checksum."""
    tables = {name: described["specification"].get(name, {}) for name in ("data", "problem")}
    sizes = described.get("data", {})
    values = {f"{name}.{key}": value for name, table in tables.items() for key, value in flat(table)}
    told = {
        key: Path(value).name if key.split(".")[1] in _FILES else value
        for key, value in values.items()
        if key.split(".")[1] not in (_ELSEWHERE | _FILES if summed else _ELSEWHERE)
    }
    rows = sizes.get("rows")
    for key, value in told.items():
        strength = portion(value, "n") if key.startswith("problem.") else None
        if strength is not None and rows:
            told[key] = strength / rows
    measured = ("rows", "features", *(["checksum"] if summed else []))
    return {**told, **{f"{MEASURED}{key}": sizes[key] for key in measured if key in sizes}}


def _circumstances(described: Mapping[str, Any]) -> dict[str, str]:
    nodes = described.get("nodes", 1)
    kind = "virtual node" if described.get("cluster") == "virtual" else "MPI rank"
    return {
        "nodes": f"{nodes} {kind}{'' if nodes == 1 else 's'}",
        "clock": f"{described.get('clock', 'unknown')} clock",
        "start": f"start {described['specification'].get('problem', {}).get('start', 'zeros')}",
        **{
            key: f"{key} = {shortened(str(value), _VALUE)}"
            for key, value in flat(described["specification"].get("cluster", {}))
            if key not in _SIZES and not (_is_own(key) and "topology" not in described)
        },
    }


def _is_own(key: str) -> bool:
    """Return whether a key of [cluster] concerns decentralised solvers only."""
    return key.startswith("topology.")


def _start(described: Mapping[str, Any], records: Sequence[Record]) -> tuple[str, float, float] | None:
    """Return the start with its objective and gradient norm; None if the nodes' starts differ or are random."""
    start = described["specification"].get("problem", {}).get("start", "zeros")
    if not records or records[0].consensus or start == "random":
        return None
    return start, records[0].objective, records[0].grad_norm


def _alike(starts: Sequence[tuple[str, float, float]]) -> bool:
    firsts = {start[0]: start for start in reversed(starts)}
    return all(
        math.isclose(a, b, rel_tol=_SAME, abs_tol=1e-300) or (math.isnan(a) and math.isnan(b))
        for start in starts
        for a, b in zip(start[1:], firsts[start[0]][1:], strict=True)
    )
