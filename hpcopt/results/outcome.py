"""The outcome of a run on one node, and what is recorded during the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.results.output import Output
from hpcopt.results.record import Record
from hpcopt.results.stopping import Status
from hpcopt.solvers.base import State


@dataclass(frozen=True)
class Left:
    """When a node left the run: by its own counts and clock."""

    round: int
    iteration: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """The end of a run on this node: the final model, its record, and the last state of the solver."""

    status: Status
    w: Vector  # (d,)
    record: Record  # of `w`
    last: Record  # at the end; differs from `record` only after a divergence
    state: State
    edges: dict[int, int]  # bytes sent to each neighbour
    left: Left | None = None  # None: the node has stayed


def _forget(record: Record) -> None:
    """Ignore a record."""


KEEP_ALL = Output()


@dataclass(frozen=True)
class Recording:
    """The recording of a run.

    Parameters
    ----------
    output
        Determines which records are made.
    tell
        Called with each record, on every node (so pass it on one node only).
    """

    output: Output = KEEP_ALL
    tell: Callable[[Record], None] = _forget
