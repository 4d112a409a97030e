"""What a driven run comes to on a node, and what is recorded on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpcopt.arrays import Vector
from hpcopt.results.output import Output
from hpcopt.results.record import Record
from hpcopt.results.stopping import Status
from hpcopt.solvers.base import State


@dataclass(frozen=True)
class Outcome:
    """How a run ended on this node: the model kept, the record that belongs to it, the solver's last state."""

    status: Status
    w: Vector  # (d,)
    record: Record  # of `w`
    last: Record  # of the end; another one than `record` only after a divergence
    state: State
    edges: dict[int, int]  # bytes sent to each neighbour


def _forget(record: Record) -> None:
    """Record nothing."""


KEEP_ALL = Output()


@dataclass(frozen=True)
class Recording:
    """What is recorded of a run.

    Parameters
    ----------
    output
        Which records.
    tell
        Called with each record, on every node (give it on one).
    """

    output: Output = KEEP_ALL
    tell: Callable[[Record], None] = _forget
