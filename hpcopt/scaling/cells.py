"""Medians over the repetitions of a point, and curves of them over ranks or rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hpcopt.results.medians import median, quantile
from hpcopt.scaling.rows import Row
from hpcopt.scaling.table import ScalingTable


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, their quartiles, and how many they are."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return that of at least one number."""
        return cls(median(values), quantile(values, 0.25), quantile(values, 0.75), len(values))

    @property
    def relative(self) -> float:
        """The distance of the quartiles, as a fraction of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


@dataclass(frozen=True)
class Cell:
    """The right results of one solver in one place: those of all its seeds and repetitions.

    Parameters
    ----------
    rows
        At least one.
    """

    rows: list[Row]

    @property
    def first(self) -> Row:
        """Any of them, for what they have in common."""
        return self.rows[0]

    @property
    def parallel(self) -> int:
        """Ranks or virtual nodes, times their threads."""
        return self.first.ranks * self.first.threads

    @property
    def seconds(self) -> Spread:
        """Until the goal, or for so many iterations."""
        return Spread.of([row.seconds for row in self.rows])

    @property
    def per_iteration(self) -> float:
        """Seconds of an iteration; NaN if none was made."""
        return self.middle(lambda row: row.seconds / row.iterations if row.iterations else math.nan)

    @property
    def crowded(self) -> bool:
        """Whether ranks had to share cores."""
        return any(row.oversubscribed for row in self.rows)

    def middle(self, number: Callable[[Row], float | None]) -> float:
        """Return the median of a number of the rows that have it; NaN if none has."""
        known = [value for row in self.rows if (value := number(row)) is not None and not math.isnan(value)]
        return median(known) if known else math.nan


@dataclass(frozen=True)
class Curve:
    """The cells of one solver and topology on one kind of cluster, with one number of threads.

    Parameters
    ----------
    series, budget, cluster, threads
        What they have in common.
    cells
        From few ranks, or rows, to many; at least one.
    many_threads
        Whether the study has several numbers of threads.
    """

    series: str
    budget: str
    cluster: str
    threads: int
    cells: list[Cell] = field(default_factory=list)
    many_threads: bool = False

    @property
    def is_virtual(self) -> bool:
        """Whether its nodes are virtual."""
        return self.cluster == "virtual"

    @property
    def label(self) -> str:
        """Its name in tables and pictures."""
        threads = (
            f", {self.threads} thread{'s' * (self.threads > 1)}" if self.many_threads and not self.is_virtual else ""
        )
        return f"{self.series}{threads}{', virtual' if self.is_virtual else ''}"


def curves_of(rows: Sequence[Row], table: ScalingTable) -> list[Curve]:
    """Return the curves of the rows that have no faults, in the order of the rows."""
    cells: dict[tuple[str, str, str, int, int, int | None], list[Row]] = {}
    for row in rows:
        if not row.faults:
            size = row.rows if table.kind == "throughput" else None
            cells.setdefault((row.series, row.budget, row.cluster, row.threads, row.ranks, size), []).append(row)
    many = len({row.threads for row in rows if not row.is_virtual}) > 1
    curves: dict[tuple[str, str, str, int], Curve] = {}
    for (series, budget, cluster, threads, _, _), own in sorted(cells.items(), key=lambda one: _size(one[1][0])):
        key = series, budget, cluster, threads
        curves.setdefault(key, Curve(*key, [], many)).cells.append(Cell(own))
    order = {(row.series, row.budget, row.cluster, row.threads): place for place, row in reversed([*enumerate(rows)])}
    return [curves[key] for key in sorted(curves, key=order.__getitem__)]


def _size(row: Row) -> tuple[int, int]:
    return row.ranks, row.rows or 0
