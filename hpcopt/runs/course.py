"""The driver's state during a run in rounds: records, the status, the best model."""

from __future__ import annotations

from typing import Any

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.record import Record
from hpcopt.results.stopping import Disagreement, Status, StopRule
from hpcopt.runs.checkpoint import Snapshot, packed, unpacked
from hpcopt.runs.measuring import Counts, Watch
from hpcopt.solvers.base import State


class Course:
    """A run in progress on one node, apart from the solver's state; call `begin` or `restore` first.

    Parameters
    ----------
    convexity
        The objective's strong convexity, if known, for the stop rule's gap.

    Attributes
    ----------
    begun
        Number of yields of the solver before this part of the run.
    status
        The status, once the run ends.
    records
        The first and the last record; None before there are any.
    """

    def __init__(self, node: Node, watch: Watch, stop: StopRule, recording: Recording, convexity: float) -> None:
        self.begun = 0
        self.status: Status | None = None
        self.records: tuple[Record, Record] | None = None
        self._is_extra = False
        self._node = node
        self._watch = watch
        self._stop = stop
        self._convexity = convexity
        self._tell = recording.tell
        self._tells_all = recording.output.tells_all  # otherwise only the first and the last record

    def begin(self, w: Vector) -> None:
        """Measure the starting point."""
        self._last, self._model = self._watch.measure(w, 0)
        self._first = self._best = self._last
        self._kept = self._model.copy()
        self._disagreement = Disagreement(self._node.size, self._kept)
        self.records = self._first, self._last
        self._tell(self._first)
        self.status = self._stop.verdict(self._first, self._first, self._convexity)

    def go_on(self, w: Vector, iteration: int, records: tuple[Record, Record] | None) -> None:
        """Measure where the nodes that remain go on: over their rows, what was best before means nothing.

        Parameters
        ----------
        records
            The run's first and last record; None if there are none.
        """
        self.begun = iteration
        self._last, self._model = self._watch.measure(w, iteration)
        self._first, self._best = self._last if records is None else records[0], self._last
        self._kept = self._model.copy()
        self._disagreement = Disagreement(self._node.size, self._kept)
        self.records = self._first, self._last
        self._tell(self._last)
        self.status = self._stop.verdict(self._last, self._first, self._convexity)

    @property
    def counts(self) -> dict[int, Counts]:
        """The node's own counts in the last two records, by iteration."""
        return self._watch.counts

    @property
    def can_go_on(self) -> bool:
        """Whether a stop rule has ended the run, so that it would go on under another one."""
        return self.status is not None and self.status.can_go_on

    def measure(self, w: Vector, iteration: int, *, is_extra: bool = False) -> None:
        """Measure an iterate, and determine whether the run ends there.

        Parameters
        ----------
        is_extra
            Whether it is measured only because the run may end there.
        """
        self._last, self._model = self._watch.measure(w, iteration)
        self.records = self._first, self._last
        self._is_extra = is_extra
        if self._tells_all:
            self._tell(self._last)
        self._judge()

    def _judge(self) -> None:
        """Determine whether the run ends at the last record."""
        record, model = self._last, self._model
        verdict = self._stop.verdict(record, self._first, self._convexity)
        self.status = verdict or self._disagreement.verdict(record, model) or self._stop.settled(record, self._best)
        if self.status is None and record.objective < self._best.objective:
            self._best, self._kept = record, model.copy()

    def outcome(self, state: State, w: Vector, iteration: int, *, exact: bool) -> Outcome:
        """Return the outcome of a run that ended at `state` after `iteration` iterations.

        Parameters
        ----------
        w
            The model of that state, shape (d,).
        exact
            Whether the solver has no floor.
        """
        if self.status is None:  # the solver ended: its messages after the last iterate count too
            self._watch.scale()
            self._last, self._model = self._watch.measure(w, iteration)
            self.status = self._stop.ended(self._last, self._first, self._convexity, exact=exact)
            if self._tells_all:
                self._tell(self._last)
        if not self._tells_all and iteration:
            self._tell(self._last)
        edges = dict(self._node.ledger.solver.by_edge)
        if self.status.diverged:
            return Outcome(self.status, self._kept, self._best, self._last, state, edges)
        return Outcome(self.status, self._model, self._last, self._last, state, edges)

    def snapshot(self, iteration: int) -> dict[str, Any]:
        """Return the state after `iteration` iterations as plain data: all that the rest of the run depends on.

        If the run has ended there, that includes the last record, which has had no effect on the rest.
        """
        ended = self.status is not None
        return {
            "iteration": iteration,
            "is_extra": ended and self._is_extra,
            "ended": packed(self._last, "ended") if ended else None,
            "model": self._model.copy() if ended else None,
            "first": packed(self._first, "first"),
            "best": packed(self._best, "best"),
            "kept": self._kept.copy(),
            "disagreement": self._disagreement.snapshot(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state that `snapshot` returned; a run that had ended may be over under its new stop rule too."""
        self.begun = snapshot["iteration"]
        self._first, self._best = (unpacked(Record, snapshot[name]) for name in ("first", "best"))
        self._kept = snapshot["kept"].copy()
        self._disagreement = Disagreement(self._node.size, self._kept)
        self._disagreement.restore(snapshot["disagreement"])
        if snapshot["ended"] is not None:
            self._last, self._model = unpacked(Record, snapshot["ended"]), snapshot["model"].copy()
            self._resume_at_end(is_extra=snapshot["is_extra"])

    def _resume_at_end(self, *, is_extra: bool) -> None:
        """Judge the last record of a run that had ended; without that end, an extra one would not have been made."""
        if not is_extra:
            self._judge()
            return
        self.status = self._stop.verdict(self._last, self._first, self._convexity)
        if self.status is not None and self._tells_all:
            self._tell(self._last)
