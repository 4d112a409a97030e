"""The measure by which tables and pictures judge runs: which model's objective, its target, the optimum if known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpcopt.results.record import Record

WHOSE = {
    "objective": "of the mean model",
    "mean_objective": "averaged over the nodes' models",
    "worst_objective": "of the worst node's model",
}
"""If the nodes' models differ: whose objective is in a column of the trace."""


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
        The lowest value of the objective, if it is known.
    """

    target: float | None = None
    column: str = "objective"
    optimum: float | None = None

    @classmethod
    def of(cls, specification: Mapping[str, Any]) -> Goal:
        """Return the goal of a run, given its specification from run.json."""
        stop, problem = specification.get("stop", {}), specification.get("problem", {})
        return cls(stop.get("target"), stop.get("target_on", "objective"), problem.get("optimum"))

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
