"""What runs are judged by in tables and pictures: which model's objective, a target for it, the optimum if known."""

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
"""Where the nodes' models differ: whose objective stands in a column of the trace."""


@dataclass(frozen=True)
class Goal:
    """What runs are judged by.

    Parameters
    ----------
    target
        The objective to be reached, if one is.
    column
        Of the trace: whose objective that is, where the nodes' models differ.
    optimum
        The lowest value of the objective, if it is known.
    """

    target: float | None = None
    column: str = "objective"
    optimum: float | None = None

    @classmethod
    def of(cls, specification: Mapping[str, Any]) -> Goal:
        """Return the goal of a run, given its specification as run.json has it."""
        stop, problem = specification.get("stop", {}), specification.get("problem", {})
        return cls(stop.get("target"), stop.get("target_on", "objective"), problem.get("optimum"))

    def judged(self, records: Sequence[Record]) -> list[Record]:
        """Return the records with what they are judged by for their objective."""
        return [record.judged(self.column) for record in records]

    def whose(self, apart: Iterable[bool]) -> str:
        """Return what is judged, in words, given for each run whether its nodes have models of their own."""
        kinds = set(apart)
        if kinds == {False, True}:
            return f"objective ({WHOSE[self.column]} where nodes have their own)"
        return f"objective {WHOSE[self.column]}" if True in kinds else "objective"

    def told(self, record: Record) -> str:
        """Return a record's objective with whose it is; the mean model's where the one to be judged is not measured."""
        judged = record.judged(self.column).objective
        goal, value = (Goal(), record.objective) if math.isnan(judged) else (self, judged)
        return f"{goal.whose([record.consensus is not None])} {value:.6g}"
