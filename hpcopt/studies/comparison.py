"""A comparison in Python: the runs of several solvers, and its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpcopt.annotations import shown
from hpcopt.errors import InputError
from hpcopt.registry import nearest
from hpcopt.results.choice import Contender
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.grids import best_rows, grid_rows
from hpcopt.runs.finished import Run


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    Attributes
    ----------
    contenders
        The runs of each of [[solvers]], in order: the cells of its grid, and the best of them.
    folder
        The output folder; None if nothing was to be written.
    goal
        The measure by which they are judged.
    title
        The problem and the nodes.
    remarks
        What a reader of the tables should know, a line each: a grid of which the best value is the largest, ...
    """

    contenders: list[Contender[Run]]
    folder: Path | None
    goal: Goal
    title: str
    remarks: list[str] = field(default_factory=list)

    def __getitem__(self, label: str) -> Contender[Run]:
        """Return the runs of the solver with this label.

        Raises
        ------
        InputError
            If there is none.
        """
        known = {contender.label: contender for contender in self.contenders}
        if label not in known:
            raise InputError(f"no solver of the comparison has the label {shown(label)}{nearest(label, known)}")
        return known[label]

    @property
    def runs(self) -> list[Run]:
        """All runs, in order."""
        return [run for contender in self.contenders for cell in contender.cells for run in cell.runs]

    @property
    def best(self) -> list[Run]:
        """The runs of each contender's best cell, in order."""
        return [run for contender in self.contenders for run in contender.best.runs]

    @property
    def curves(self) -> list[Curve]:
        """The curves of its picture: the best cell of each contender, with a trace for each seed."""
        best = [contender.best for contender in self.contenders]
        return [Curve(cell.label, [run.records for run in cell.runs]) for cell in best]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of compare.csv."""
        return best_rows(self.contenders)

    def grid_rows(self) -> list[dict[str, Any]]:
        """Return the rows of grid.csv."""
        return grid_rows(self.contenders)
