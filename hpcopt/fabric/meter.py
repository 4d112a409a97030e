"""The meter: the work of a node. Every oracle call is bracketed by it, and the node's clock is notified.

Two quantities are counted: floating-point operations (they drive the virtual clock) and entries of the shard read
(reading all of it is one pass over the data). At the end of a bracket, delays are injected on the wall clock, and a
node that computes for long makes progress on one-sided operations.

A piece of work also has a kind, and the meter knows what the shard is stored as: a virtual cluster with a calibration
has other rates for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Literal

Kind = Literal[
    "gradient",  # losses and their gradient
    "product",  # a Hessian times a vector
    "margins",  # X w
    "rows",  # the gradient of some rows
    "steps",  # steps along the gradients of some rows
    "restrict",  # a copy of some rows
    "losses",  # losses of known margins
    "values",  # losses of many models
    "gram",  # X'X
    "factor",  # a d x d matrix factorised
    "spectrum",  # its eigenvalues
    "network",  # a model of several outputs
]
"""Kinds of work, each with a speed of its own."""
Storage = Literal["dense", "sparse"]


class Meter:
    """A node's count of work.

    Parameters
    ----------
    on_work
        Called after each piece of work with it and its real seconds. The virtual cluster advances its clock by the
        work; on the wall clock, a slow node waits in proportion to the seconds.

    Attributes
    ----------
    flops, touched
        Total floating-point operations, and total entries of the shard read.
    poke
        Called after each piece of work, if one-sided operations on this node need it to call MPI now and then.
    is_paused
        Whether counting is suspended.
    storage, nbytes
        How the shard is stored, and in how many bytes.
    """

    __slots__ = ("_work", "flops", "is_paused", "nbytes", "on_work", "poke", "storage", "touched")

    def __init__(self, on_work: Callable[[Work, float], None] | None = None) -> None:
        self.storage: Storage = "dense"
        self.nbytes = 0
        self.flops = 0.0
        self.touched = 0.0
        self.poke: Callable[[], None] | None = None
        self.on_work = on_work
        self.is_paused = False
        self._work = Work(self)

    def working(self, flops: float, touched: float, kind: Kind = "gradient", copied: float = 0.0) -> Work:
        """Return a context manager for a piece of work: `flops` operations that read `touched` entries of the shard.

        The work is counted when the block ends, also by an exception; blocks do not nest.

        Parameters
        ----------
        copied
            Entries that are read without being counted as work.
        """
        work = self._work
        work.kind = kind
        work.copied = copied
        if work.begun:
            raise RuntimeError("nested work: it would be timed twice")
        work.flops = flops
        work.touched = touched
        return work

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend counting inside the block."""
        before, self.is_paused = self.is_paused, True
        try:
            yield
        finally:
            self.is_paused = before

    def snapshot(self) -> dict[str, Any]:
        """Return the counts as plain data."""
        return {"flops": self.flops, "touched": self.touched}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.flops, self.touched = float(snapshot["flops"]), float(snapshot["touched"])


class Work:
    """The context manager of a meter; one reused object, as only one block is active at a time."""

    __slots__ = ("_meter", "begun", "copied", "flops", "kind", "touched")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.begun = 0.0  # 0: not active
        self.kind: Kind = "gradient"
        self.flops = self.touched = self.copied = 0.0

    def __enter__(self) -> None:
        self.begun = perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = perf_counter() - self.begun
        self.begun = 0.0
        meter = self._meter
        if not meter.is_paused:
            meter.flops += self.flops
            meter.touched += self.touched
            if meter.on_work is not None:
                meter.on_work(self, seconds)
        if meter.poke is not None:
            meter.poke()
