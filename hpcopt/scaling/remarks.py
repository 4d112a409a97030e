"""What a reader of the results should know: points that are too good, too noisy, or not what they seem."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hpcopt.scaling.cells import Cell, Curve
from hpcopt.scaling.efficiency import baseline, efficiency
from hpcopt.scaling.plan import FEWEST_REPEATS
from hpcopt.scaling.table import ScalingTable

SUPERLINEAR = 1.1  # efficiency above which more must have changed than the number of ranks
NOISY = 0.25  # distance of the quartiles, as a fraction of the median
ITERATIONS = 0.25  # change of the number of iterations, as a fraction


def remarks(curves: Sequence[Curve], table: ScalingTable) -> Iterator[str]:
    """Yield a line for each remark."""
    for curve in curves:
        base = baseline(curve, curves)
        for cell in curve.cells:
            where = f"{curve.label}, {curve.budget}, {place(cell)}"
            yield from _about(cell, base, curve.cells[0], table, where)
        yield from _about_iterations(curve)


def place(cell: Cell) -> str:
    """Return where a cell is, in words."""
    first = cell.first
    nodes = "virtual node" if first.is_virtual else "rank"
    threads = f" of {first.threads} threads" if first.threads > 1 else ""
    return f"{first.ranks} {nodes}{'s' * (first.ranks > 1)}{threads}"


def _about(cell: Cell, base: Cell, own: Cell, table: ScalingTable, where: str) -> Iterator[str]:
    if cell.crowded:
        yield f"{where}: more ranks than cores; they take turns, and the time is no measure of scaling"
    if table.kind != "throughput":
        found = efficiency(cell, base, own, table)
        if found.total > SUPERLINEAR:
            why = "fewer iterations" if found.statistical > SUPERLINEAR else "data that fit into caches, or noise"
            yield f"{where}: efficiency {found.total:.0%}, more than ideal: {why}"
    if cell.seconds.count >= FEWEST_REPEATS and cell.seconds.relative > NOISY and not cell.first.is_virtual:
        yield f"{where}: noisy: the quartiles are {cell.seconds.relative:.0%} of the median apart"


def _about_iterations(curve: Curve) -> Iterator[str]:
    """Tell of a number of iterations to the goal that changes with the number of ranks."""
    counts = [cell.middle(lambda row: row.iterations) for cell in curve.cells if curve.budget == "target"]
    counts = [count for count in counts if not math.isnan(count)]
    if counts and max(counts) > (1.0 + ITERATIONS) * min(counts):
        low, high = min(counts), max(counts)
        yield f"{curve.label}: {low:g} to {high:g} iterations to the goal: see the statistical efficiency"
