"""The checks that every point must pass before its time means anything: same problem, same result, goal reached."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from hpcopt.results.stopping import Status
from hpcopt.results.tables import has_diverged
from hpcopt.scaling.rows import Row
from hpcopt.scaling.table import ScalingTable

Faults = dict[str, list[str]]
"""What is wrong with each point, by its name."""


def faults(rows: Sequence[Row], table: ScalingTable) -> Faults:
    """Return what is wrong with each point: an empty list where nothing is."""
    found: Faults = {row.point: list(_alone(row, table)) for row in rows}
    for first, row in _beside_the_first(rows, lambda row: None if table.kind == "strong" else row.rows):
        if row.checksum != first.checksum:
            found[row.point].append(f"the rows are not those of {first.point} (checksums differ)")
    for first, row in _pairs(rows):
        difference = _difference(first.objective, row.objective)
        if not difference <= table.tolerance:
            what = f"the objective differs from that of {first.point} by {difference:.1e}"
            found[row.point].append(f"{what}; the tolerance is {table.tolerance:g}")
    return found


def _alone(row: Row, table: ScalingTable) -> Iterator[str]:
    told = Status[row.status.upper()].value
    if has_diverged(row.status):
        yield told
    elif row.budget == "target" and not row.reached:
        yield f"the goal was not reached: {told}"
    elif row.budget == "iterations" and row.iterations != table.iterations:
        yield f"{row.iterations} iterations instead of {table.iterations}: {told}"
    if table.kind == "weak" and table.rows_per_rank and row.rows and row.rows > table.rows_per_rank * row.ranks:
        yield f"{row.rows} rows, more than {table.rows_per_rank} for each of {row.ranks} nodes"


def _pairs(rows: Sequence[Row]) -> Iterator[tuple[Row, Row]]:
    """Yield pairs of points whose objectives must be the same up to roundoff.

    After the same iterations, these are the repetitions of a point; points on ranks and on as many virtual nodes; and,
    for solvers whose iterates do not depend on the number of nodes, points on all numbers of ranks.
    """
    same = [row for row in rows if row.budget == "iterations" and not row.asynchronous and not has_diverged(row.status)]
    yield from _beside_the_first(
        [row for row in same if not row.is_exact], lambda row: (row.series, row.seed, row.ranks, row.checksum)
    )
    yield from _beside_the_first(
        [row for row in same if row.is_exact], lambda row: (row.series, row.seed, row.checksum)
    )


def _beside_the_first(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> Iterator[tuple[Row, Row]]:
    """Yield every row that has the same key as an earlier one, with the first of these."""
    firsts: dict[Hashable, Row] = {}
    for row in rows:
        first = firsts.setdefault(key(row), row)
        if first is not row:
            yield first, row


def _difference(one: float | None, other: float | None) -> float:
    """Return the relative difference of two objectives; NaN if one is not finite."""
    if one is None or other is None:
        return float("nan")
    return abs(one - other) / max(abs(one), abs(other), 1e-300)
