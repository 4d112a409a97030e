"""The tables that show operations: where the nodes' time went, and every kind of operation; of one run or of several.

The columns are those that users of MPI know from PETSc's log view.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.operations import COMPUTE, MONITORING, NO_LINK, OTHER
from hpcopt.results.columns import Column, Shown
from hpcopt.results.formats import megabytes, number
from hpcopt.results.operations import OperationTable

ALL = "all"
"""The name of the row of totals."""
EXPLAINED = (
    "calls and seconds: the most of a node, and the most over the least; share: of all nodes' time; waiting: of the "
    "seconds of this operation, - where it is not known; messages and MB: of all nodes; compute: oracle calls, by kind "
    "of work; other: pauses, idle slots, arithmetic outside the oracle, the driver; monitoring: on the wall clock, "
    "while the nodes' clocks stood still"
)
"""The caption of the table of operations."""
TIMES_EXPLAINED = (
    "means over the nodes; waiting: as far as it is known; imbalance: the most computing of a node, over the mean; "
    "monitoring comes on top, on the wall clock"
)
"""The caption of the table of times."""


@dataclass(frozen=True)
class Total:
    """An operation of a run, over all its nodes.

    Attributes
    ----------
    operation, link_class
        Its kind and its links.
    calls, seconds
        Of each node, shape (nodes,).
    waited
        Seconds of waiting of all nodes; NaN if not known.
    share
        Of the time of all nodes; NaN for monitoring.
    messages, bytes
        Of all nodes.
    """

    operation: str
    link_class: str
    calls: NDArray[np.int64]
    seconds: NDArray[np.float64]
    waited: float
    share: float
    messages: int
    bytes: int


def totals_of(table: OperationTable) -> list[Total]:
    """Return the operations of a run: those that took the most time first, then the total, and monitoring."""
    rows, time = table.rows, float(table.times().clock.sum()) or 1.0
    groups: dict[tuple[str, str], list[int]] = {}
    for place, (name, links) in enumerate(zip(rows["operation"].tolist(), rows["link_class"].tolist(), strict=True)):
        groups.setdefault((name, links), []).append(place)
    found = {key: _total(key, rows[places], table.nodes, time) for key, places in groups.items()}
    monitoring = found.pop((MONITORING, NO_LINK))
    inside = sorted(found.values(), key=lambda total: -total.share)
    whole = _total((ALL, NO_LINK), rows[rows["operation"] != MONITORING], table.nodes, time)
    return [*inside, whole, monitoring]


def _total(key: tuple[str, str], rows: NDArray[Any], nodes: int, time: float) -> Total:
    calls, seconds = np.zeros(nodes, dtype=np.int64), np.zeros(nodes)
    np.add.at(calls, rows["node"], rows["calls"])
    np.add.at(seconds, rows["node"], rows["seconds"])
    share = float("nan") if key[0] == MONITORING else float(seconds.sum()) / time
    sent = int(rows["messages"].sum()), int(rows["bytes"].sum())
    return Total(*key, calls, seconds, float(rows["waited"].sum()), share, *sent)


def operation_columns(tables: Mapping[str, OperationTable]) -> list[Column]:
    """Return the columns of the table of operations; those of several runs are rows next to one another.

    Parameters
    ----------
    tables
        The name of each run, at least one, and its operations.
    """
    rows = [(name, total) for name, table in tables.items() for total in totals_of(table)]
    most: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for _, total in rows:
        most[total.operation, total.link_class].append(_place(total))
    order = sorted(most, key=lambda key: -max(most[key]))
    rows.sort(key=lambda row: order.index((row[1].operation, row[1].link_class)))
    totals = [total for _, total in rows]
    return [
        _texts("operation", [total.operation for total in totals]),
        _texts("links,\nwork", [total.link_class for total in totals]),
        *([_texts("run", [name for name, _ in rows])] if len(tables) > 1 else []),
        _numbers("calls", ["" if _is_part(one) else f"{one.calls.max():,d}" for one in totals]),
        _numbers("max/min", ["" if _is_part(one) else _ratio(one.calls) for one in totals]),
        _numbers("seconds", [number(float(one.seconds.max()), ".4g") for one in totals]),
        _numbers("max/min", [_ratio(one.seconds) for one in totals]),
        _numbers("share\n%", ["" if one.operation == MONITORING else f"{100.0 * one.share:.1f}" for one in totals]),
        _numbers("waiting\n%", [_waiting(one) for one in totals]),
        _numbers("messages", [f"{one.messages:,d}" for one in totals]),
        _numbers("MB", [megabytes(one.bytes) for one in totals]),
        _numbers("bytes\neach", [f"{one.bytes / one.messages:,.0f}" if one.messages else "" for one in totals]),
    ]


def _place(total: Total) -> float:
    """Return what rows are sorted by: the share; totals and monitoring come last."""
    return {ALL: -1.0, MONITORING: -2.0}.get(total.operation, total.share)


def _is_part(total: Total) -> bool:
    """Return whether a row has no calls of its own."""
    return total.operation in {ALL, OTHER}


def _waiting(total: Total) -> str:
    if total.operation in {COMPUTE, OTHER, MONITORING}:
        return ""
    spent = float(total.seconds.sum())
    return "-" if np.isnan(total.waited) else f"{100.0 * total.waited / spent:.1f}" if spent else ""


def _ratio(values: NDArray[Any]) -> str:
    """Return the most over the least of the nodes; - if some node has none."""
    least, most = float(values.min()), float(values.max())
    if most == 0.0:
        return ""
    return f"{most / least:.3g}" if least > 0.0 else "-"


def time_columns(tables: Mapping[str, OperationTable]) -> list[Column]:
    """Return the columns of the table of where the nodes' time went, a row for each run."""
    times = [table.times() for table in tables.values()]
    means = [{part: float(getattr(one, part).mean()) for part in _PARTS} for one in times]
    clocks = [float(one.clock.mean()) for one in times]
    known = [table.knows_waiting for table in tables.values()]
    heads = _PARTS if all(known) else {**_PARTS, "exchange": _EITHER}

    def shares(part: str) -> list[str]:
        return [
            "-" if part == "wait" and not (apart or mean[part]) else f"{100.0 * mean[part] / (clock or 1.0):.1f}"
            for mean, clock, apart in zip(means, clocks, known, strict=True)
        ]

    return [
        _texts("run", list(tables)),
        _numbers("nodes", [f"{table.nodes:,d}" for table in tables.values()]),
        _numbers("seconds", [number(clock, ".4g") for clock in clocks]),
        *(_numbers(f"{head}\n%", shares(part)) for part, head in heads.items()),
        _numbers("imbalance", [_imbalance(one.compute) for one in times]),
        _numbers("monitoring\nseconds", [number(float(one.monitoring.mean()), ".3g") for one in times]),
    ]


def shares_of(table: OperationTable) -> dict[str, float]:
    """Return the shares of all nodes' time by name, without those of none; waiting that is not known is exchanging."""
    times = table.times()
    parts = {name: float(getattr(times, part).sum()) for part, name in _PARTS.items()}
    whole = sum(parts.values())
    if not table.knows_waiting:
        parts[_EITHER] = parts.pop("exchanging")
    return {name: spent / whole for name, spent in parts.items() if spent}


_EITHER = "exchanging or waiting"
_PARTS = {"compute": "computing", "wait": "waiting", "exchange": "exchanging", "other": "other"}
"""The parts of `Times`, and their heads."""


def _imbalance(compute: NDArray[np.float64]) -> str:
    mean = float(compute.mean())
    return f"{compute.max() / mean:.3f}" if mean else ""


def _texts(head: str, cells: Sequence[str]) -> Column:
    return Column(head, [Shown(cell) for cell in cells], is_number=False)


def _numbers(head: str, cells: Sequence[str]) -> Column:
    return Column(head, [Shown(cell) for cell in cells])
