"""What a driven run comes to on a node, and what is recorded on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.results.record import Record
from hpcopt.results.stopping import Status
from hpcopt.solvers.base import State

Vector = NDArray[np.float64]


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


@dataclass(frozen=True)
class Recording:
    """What is recorded of a run.

    Parameters
    ----------
    every
        Each so-many-th iteration; 0: only the first and the last. Of asynchronous solvers: each time all nodes
        together have made so many steps for every one of them, on the wall clock as often as takes a small part of
        the time.
    seconds
        Of asynchronous solvers: each time so many seconds have passed, instead.
    tell
        Called with each record, on every node (give it on one).
    """

    every: int = 1
    seconds: float | None = None
    tell: Callable[[Record], None] = _forget
