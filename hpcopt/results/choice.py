"""The best of a grid: which combination of a solver's parameters a comparison shows, and by what it is judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

from hpcopt.annotations import check_types, shown
from hpcopt.results.goal import Goal
from hpcopt.results.medians import median, median_row
from hpcopt.results.stopping import StopRule
from hpcopt.results.tables import Finished, compare_rows, has_diverged, judged

Criterion = Literal["rounds", "bytes", "seconds", "objective"]
COSTS: tuple[Criterion, ...] = ("rounds", "seconds", "bytes")
_GOALS = ("target", "gradient_norm", "relative_gradient", "scaled_gradient", "kkt", "gap")  # keys of [stop]

R = TypeVar("R", bound=Finished)


@dataclass(frozen=True, kw_only=True)
class CompareTable:
    """How a comparison chooses among the runs of a grid.

    Parameters
    ----------
    best
        The criterion; with several seeds, its median counts. Default: "rounds" if [stop] has a goal, else "objective".

        - "rounds": the fewest rounds until the goal
        - "bytes": the fewest bytes sent until the goal
        - "seconds": the shortest time until the goal
        - "objective": the lowest objective at the end

    Raises
    ------
    InputError
        For an unknown criterion.
    """

    best: Criterion | None = None

    def __post_init__(self) -> None:
        check_types(self)

    def criterion(self, stop: StopRule) -> Criterion:
        """Return the criterion of a comparison with these stop rules."""
        return self.best or ("rounds" if aims(stop) else "objective")


def aims(stop: StopRule) -> bool:
    """Return whether there is a goal that a run can reach, rather than budgets only."""
    return any(getattr(stop, goal) is not None for goal in _GOALS)


@dataclass(frozen=True)
class Cell(Generic[R]):
    """A combination of a grid's values, with its runs.

    Parameters
    ----------
    label
        Its contender's label, followed by the values.
    values
        The keys in which it differs from others of the grid, with its values.
    runs
        Its finished runs, one for each seed; at least one.
    goal
        The measure by which they are judged.
    """

    label: str
    values: Mapping[str, Any]
    runs: list[R]
    goal: Goal

    @property
    def diverged(self) -> bool:
        """Whether all its runs diverged."""
        return all(has_diverged(run.result["status"]) for run in self.runs)

    @cached_property
    def row(self) -> dict[str, Any]:
        """Its row as in compare.csv, of medians over the seeds."""
        return median_row(self._rows, self.label)

    @cached_property
    def costs(self) -> dict[str, float]:
        """What it is judged by, as medians; infinite where most runs did not reach the goal, or diverged."""
        told = [self._costs(run, row) for run, row in zip(self.runs, self._rows, strict=True)]
        return {criterion: median([one[criterion] for one in told]) for criterion in told[0]}

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        return compare_rows(self.runs, self.goal)

    def _costs(self, run: R, row: Mapping[str, Any]) -> dict[str, float]:
        reached = run.result.get("reached") if row["reached"] is None else row["reached"]
        costs = {cost: row[cost] if reached else None for cost in COSTS}
        costs["objective"] = None if has_diverged(row["status"]) else judged(row, self.goal.column)
        return {key: math.inf if value is None else float(value) for key, value in costs.items()}


@dataclass(frozen=True)
class Contender(Generic[R]):
    """The runs of one table [[solvers]]: one cell, or those of its grid.

    Parameters
    ----------
    label
        The solver's label.
    cells
        The cells with a finished run, in the order of the grid; at least one.
    criterion
        What makes a cell the best.
    """

    label: str
    cells: list[Cell[R]]
    criterion: Criterion

    @property
    def is_grid(self) -> bool:
        """Whether there are several cells."""
        return len(self.cells) > 1

    @cached_property
    def ranking(self) -> list[int]:
        """The places of the cells, from the best to the worst.

        A run that did not reach the goal is worse than one that did, and one that diverged is worse still. Equal costs
        are decided by the other costs, then by the objective, and then by the order of the grid.
        """
        criteria = [self.criterion, *(cost for cost in (*COSTS, "objective") if cost != self.criterion)]
        return sorted(
            range(len(self.cells)), key=lambda place: [self.cells[place].costs[criterion] for criterion in criteria]
        )

    @property
    def best(self) -> Cell[R]:
        """The best cell."""
        return self.cells[self.ranking[0]]

    def missed(self) -> str:
        """Return a line that says why the best cell is none by the criterion; empty if it is."""
        if not self.is_grid or math.isfinite(self.best.costs[self.criterion]):
            return ""
        if all(cell.diverged for cell in self.cells):
            return f"{self.label}: all {len(self.cells):,} combinations of its grid diverged"
        if self.criterion == "objective":
            return f"{self.label}: most runs of each combination of its grid diverged"
        return f"{self.label}: no combination of its grid reached the goal; the best one has the lowest objective"


def in_words(values: Mapping[str, Any]) -> list[str]:
    """Return "key=value" for each of a cell's values, with texts as they are."""
    return [f"{key}={value if isinstance(value, str) else shown(value)}" for key, value in values.items()]
