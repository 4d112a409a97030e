"""The measure by which tables and pictures judge runs: which model's objective, its target, the optimum if known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from msgspec import Meta

from hpcopt.annotations import Positive, check_types
from hpcopt.errors import InputError
from hpcopt.results.record import Record

ACCURACY = 1e-12  # relative: objectives that differ by less from the optimum are at it

WHOSE = {
    "objective": "of the mean model",
    "mean_objective": "averaged over the nodes' models",
    "worst_objective": "of the worst node's model",
}
"""If the nodes' models differ: whose objective is in a column of the trace."""


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """A target by its distance to the optimum, f*; one of the two keys.

    Parameters
    ----------
    suboptimality
        f(w) - f* is at most this.
    relative
        f(w) - f* is at most this fraction of f(w0) - f*, with w0 the starting point.
    """

    suboptimality: Positive | None = None
    relative: Annotated[float, Meta(gt=0, lt=1)] | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if (self.suboptimality is None) == (self.relative is None):
            raise InputError("expected exactly one of the keys suboptimality and relative")

    def target(self, optimum: float, start: float) -> float:
        """Return the objective that is the target, given f* and f(w0).

        Raises
        ------
        InputError
            If it is not between the two; the message begins with the key.
        """
        key, size, unit = "suboptimality", self.suboptimality or 0.0, 1.0
        if self.relative is not None:
            if not start > optimum:
                what = f"the objective at the start, {start:.8g}, is not above problem.optimum, {optimum:.8g}"
                raise InputError(f"relative: {what}; correct the optimum")
            key, size, unit = "relative", self.relative, start - optimum
        least = ACCURACY * abs(optimum) / unit
        if not size > least:
            raise InputError(f"{key}: expected more than {least:.2g}, the accuracy of the optimum, got {size:g}")
        return optimum + size * unit


@dataclass(frozen=True)
class Optimum:
    """The minimum of the objective.

    Parameters
    ----------
    value
        f*.
    how
        Where it is from.
    certificate
        Why it is the minimum; None if it is not known to be.
    gap
        A bound on the value's distance to the minimum, or an estimate, as the certificate says.
    """

    value: float
    how: str
    certificate: str | None = None
    gap: float | None = None

    def words(self) -> str:
        """Return the value and why it is the optimum."""
        gap = "" if not self.gap else f", {self.gap:.2g}"
        return (
            f"{self.value:.12g} ({self.how}" + ("" if self.certificate is None else f"; {self.certificate}{gap}") + ")"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what is known, as plain data."""
        return {key: value for key, value in asdict(self).items() if value is not None}


GIVEN = "given in the specification"


@dataclass(frozen=True)
class Goal:
    """The measure by which runs are judged.

    Parameters
    ----------
    target
        The objective to be reached, if any.
    column
        The column of the trace: whose objective counts if the nodes' models differ.
    optimum
        The minimum of the objective, if it is known.
    """

    target: float | None = None
    column: str = "objective"
    optimum: float | None = None

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Goal:
        """Return the goal of a run, given its run.json."""
        stop, problem = (described["specification"].get(table, {}) for table in ("stop", "problem"))
        target = described.get("target", stop.get("target"))  # earlier versions had numbers in the specification only
        optimum = (described.get("optimum") or {}).get("value", problem.get("optimum"))
        known = (value if isinstance(value, (int, float)) else None for value in (target, optimum))
        return cls(next(known), stop.get("target_on", "objective"), next(known))

    @classmethod
    def common(cls, goals: Sequence[Goal]) -> Goal:
        """Return the common measure of several runs: a target or an optimum if the runs that have one agree on it."""
        target, optimum = (agreed([getattr(goal, name) for goal in goals]) for name in ("target", "optimum"))
        columns = {goal.column for goal in goals}
        return cls(target, columns.pop(), optimum) if len(columns) == 1 else cls(None, optimum=optimum)

    def undercut(self, records: Iterable[Record]) -> float | None:
        """Return the lowest objective of runs if it shows that the optimum is none, else None."""
        judged = (record.judged(self.column).objective for record in records)
        lowest = min((value for value in judged if math.isfinite(value)), default=math.inf)
        if self.optimum is None or lowest >= self.optimum - ACCURACY * max(abs(lowest), abs(self.optimum)):
            return None
        return lowest

    def judged(self, records: Sequence[Record]) -> list[Record]:
        """Return the records with the judged objective as their `objective`."""
        return [record.judged(self.column) for record in records]

    def whose(self, apart: Iterable[bool]) -> str:
        """Name the judged quantity, given for each run whether its nodes have their own models."""
        kinds = set(apart)
        if kinds == {False, True}:
            return f"objective ({WHOSE[self.column]} where nodes have their own)"
        return f"objective {WHOSE[self.column]}" if True in kinds else "objective"

    def told(self, record: Record) -> str:
        """Return a record's objective and its name; that of the mean model if the judged one is not measured."""
        judged = record.judged(self.column).objective
        goal, value = (Goal(), record.objective) if math.isnan(judged) else (self, judged)
        return f"{goal.whose([record.consensus is not None])} {value:.6g}"


def agreed(values: Sequence[float | None]) -> float | None:
    """Return the value that all agree on, up to roundoff, apart from those that are None; None if there is no such."""
    known = [value for value in values if value is not None]
    alike = known and all(math.isclose(value, known[0], rel_tol=ACCURACY) for value in known)
    return known[0] if alike else None
