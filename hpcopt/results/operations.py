"""The table of operations of a run: what every node did how often, for how long, and with how many bytes.

    node,operation,link_class,calls,seconds,waited,messages,bytes
    0,compute,gradient,400,0.0213,0,0,0
    0,sum,world,400,0.0071,nan,398,95520
    0,other,-,0,0.0011,0,0,0
    0,monitoring,-,34,0.0012,nan,99,23964

Every node has one row for each operation that it used, one for each kind of work, and one each for monitoring and the
rest. The seconds of all rows but monitoring add up to the node's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.fabric.operations import COMPUTE, MONITORING, NO_LINK, OTHER, STAND_BY, Line
from hpcopt.fabric.seam import Kind
from hpcopt.files import written_whole
from hpcopt.results import checked
from hpcopt.results.folder import OPERATIONS

_LONGEST = 64  # characters of a class of links that are kept

COLUMNS: dict[str, Any] = {
    "node": np.int64,
    "operation": "U16",
    "link_class": f"U{_LONGEST}",
    "calls": np.int64,
    "seconds": np.float64,
    "waited": np.float64,
    "messages": np.int64,
    "bytes": np.int64,
}
ALWAYS = (COMPUTE, OTHER, MONITORING)
"""The rows that every node has."""
_NAMES = frozenset((*ALWAYS, STAND_BY, *get_args(Kind)))
_SLACK = 1.0 + 1e-9  # numbers in the file are rounded


@dataclass(frozen=True)
class Times:
    """Where the time of each node went, in seconds; arrays of shape (nodes,).

    Attributes
    ----------
    compute
        In oracle calls, with the delays of slow nodes.
    wait
        Waiting for other nodes, as far as that is known.
    exchange
        In operations, without the known waiting.
    other
        Neither: pauses, the solver's own arithmetic, the driver.
    monitoring
        Measuring, on the wall clock, while the node's clock stood still.
    """

    compute: NDArray[np.float64]
    wait: NDArray[np.float64]
    exchange: NDArray[np.float64]
    other: NDArray[np.float64]
    monitoring: NDArray[np.float64]

    @property
    def clock(self) -> NDArray[np.float64]:
        """The nodes' clocks at the end."""
        return self.compute + self.wait + self.exchange + self.other


@dataclass(frozen=True)
class OperationTable:
    """The rows of operations.csv, a structured array with its columns, of a run on that many nodes."""

    rows: NDArray[Any]
    nodes: int

    @property
    def knows_waiting(self) -> bool:
        """Whether it is known of every operation how long its nodes waited for others."""
        return not np.isnan(self.rows["waited"][self.rows["operation"] != MONITORING]).any()

    def times(self) -> Times:
        """Return where each node's time went."""
        rows = self.rows
        named = {name: rows["operation"] == name for name in ALWAYS}
        operations = ~np.logical_or.reduce(list(named.values()))
        waited = np.nan_to_num(rows["waited"])
        return Times(
            compute=self._sums(named[COMPUTE], rows["seconds"]),
            wait=self._sums(operations, waited),
            exchange=self._sums(operations, rows["seconds"] - waited),
            other=self._sums(named[OTHER], rows["seconds"]),
            monitoring=self._sums(named[MONITORING], rows["seconds"]),
        )

    def _sums(self, chosen: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.zeros(self.nodes)
        np.add.at(sums, self.rows["node"][chosen], values[chosen])
        return sums


def csv_of(node: int, lines: Iterable[Line]) -> str:
    """Return the rows of one node as text."""
    return "".join(
        f"{node},{line.operation},{_plain(line.link_class)},{line.calls},{line.seconds:.12g},{line.waited:.12g},"
        f"{line.messages},{line.bytes}\n"
        for line in lines
    )


def _plain(name: str) -> str:
    """Return the name of a class of links as one cell; a solver may have chosen it."""
    return " ".join(name.replace(",", " ").split())[:_LONGEST]


def write_operations(folder: Path, rows: str) -> None:
    """Write all nodes' rows to operations.csv."""
    with written_whole(folder / OPERATIONS) as file:
        file.write(f"{','.join(COLUMNS)}\n{rows}")


def read_operations(folder: Path, described: Mapping[str, Any]) -> OperationTable | None:
    """Return the table of operations of a run; None if there is no such file.

    Parameters
    ----------
    described
        The run's run.json. Ranks that have died have no lines.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path, nodes = folder / OPERATIONS, described.get("nodes", 1)
    departures = (described.get("result") or {}).get("departures", ())
    gone = [node for departure in departures for node in departure["nodes"]]
    try:
        rows = checked.table(path, COLUMNS)
    except FileNotFoundError:
        return None
    seconds, waited = rows["seconds"], rows["waited"]
    with np.errstate(invalid="ignore"):
        is_row = (
            (rows["node"] >= 0)
            & (rows["node"] < nodes)
            & np.isin(rows["operation"], list(_NAMES))
            & (~np.isin(rows["operation"], (OTHER, MONITORING)) | (rows["link_class"] == NO_LINK))
            & (rows["calls"] >= 0)
            & (rows["messages"] >= 0)
            & (rows["bytes"] >= 0)
            & (seconds >= 0.0)
            & np.isfinite(seconds)
            & (np.isnan(waited) | ((waited >= 0.0) & (waited <= _SLACK * seconds)))
        )
    wrong = np.flatnonzero(~is_row)
    if wrong.size:
        raise InputError(f"{path}: damaged (line {wrong[0] + 2}: no such node or operation, or a number out of range)")
    _, operation = np.unique(rows["operation"], return_inverse=True)
    classes, link_class = np.unique(rows["link_class"], return_inverse=True)
    of_node = operation * len(classes) + link_class  # numbers take far less memory than the names
    _, first = np.unique(rows["node"] * (of_node.max(initial=0) + 1) + of_node, return_index=True)
    again = np.setdiff1d(np.arange(len(rows)), first)
    if again.size:
        raise InputError(f"{path}: damaged (line {again[0] + 2} repeats the operation of another line)")
    for name in ALWAYS:
        there = np.bincount(rows["node"][rows["operation"] == name], minlength=nodes)
        lacking = np.setdiff1d(np.flatnonzero(there == 0), gone)
        if lacking.size:
            raise InputError(f"{path}: damaged (node {lacking[0]} has no line of {name})")
    return OperationTable(rows, nodes)
