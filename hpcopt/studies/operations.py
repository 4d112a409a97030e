"""The operations of finished runs: tables for a report and the terminal, and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.results.breakdown import draw_breakdown
from hpcopt.results.columns import Column
from hpcopt.results.operation_columns import EXPLAINED, TIMES_EXPLAINED, operation_columns, time_columns
from hpcopt.results.operations import OperationTable, read_operations
from hpcopt.studies.overlay import Overlay

WITHOUT = (
    "a run that has finished has one, unless it was made by an earlier version, with output.operations = false, "
    "or resumed by another number of nodes"
)
"""Why a run may have no table."""


@dataclass(frozen=True)
class Operations:
    """The tables of operations of runs that are shown together; of several seeds, the first.

    Attributes
    ----------
    tables
        The name of each run that has one, and its table.
    without
        The name of each of the others, and its folder.
    """

    tables: dict[str, OperationTable]
    without: dict[str, Path]

    @classmethod
    def of(cls, overlay: Overlay) -> Operations:
        """Read the tables of these runs.

        Raises
        ------
        InputError
            If a file is damaged.
        """
        names = [curve.label for curve in overlay.curves({})]
        first = [runs[0] for runs in overlay.together]
        read = [read_operations(run.path, run.described) for run in first]
        tables = {name: table for name, table in zip(names, read, strict=True) if table is not None}
        return cls(tables, {name: run.path for name, run in zip(names, first, strict=True) if name not in tables})

    def needed(self) -> Operations:
        """Return the same.

        Raises
        ------
        InputError
            If no run has a table.
        """
        if not self.tables:
            raise InputError(f"{', '.join(map(str, self.without.values()))}: no table of operations; {WITHOUT}")
        return self

    def columns(self) -> list[tuple[list[Column], str]]:
        """Return the columns and the caption of each table."""
        return [(time_columns(self.tables), TIMES_EXPLAINED), (operation_columns(self.tables), EXPLAINED)]

    def draw(self, picture: Path, title: str) -> None:
        """Draw the picture of where the nodes' time went; without any table there is none."""
        if self.tables:
            draw_breakdown(self.tables, picture, title)
