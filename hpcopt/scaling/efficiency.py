"""Speed-up and efficiency of a cell, and what they are made of.

    efficiency    = best time on one rank / (time * ranks), or / time in weak scaling
    statistical   = iterations on one rank / iterations: what more ranks cost the algorithm
    hardware      = the same as efficiency, per iteration and beside the solver's own time on one rank
    load balance  = mean compute time of the nodes / the longest; communication efficiency = the longest / time
    parallel efficiency = load balance * communication efficiency (POP's definitions)
    computation scaling = compute time of an iteration on one rank, summed over nodes / the same here

The own efficiency of a solver is statistical * hardware, and hardware is parallel efficiency * computation scaling,
divided by the parallel efficiency on one rank, where a run also does other things than compute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from hpcopt.scaling.cells import Cell, Curve
from hpcopt.scaling.rows import Row
from hpcopt.scaling.table import ScalingTable


@dataclass(frozen=True)
class Efficiency:
    """The efficiency of one cell; numbers that are not known are NaN.

    Parameters
    ----------
    speed_up, total
        Speed-up and efficiency beside the best time on one rank, or on the fewest that there are.
    statistical, hardware
        Of this solver beside itself.
    balance, communication, parallel
        Load balance, communication efficiency and their product.
    computation
        Computation scaling.
    """

    speed_up: float
    total: float
    statistical: float
    hardware: float
    balance: float
    communication: float
    parallel: float
    computation: float


def baseline(curve: Curve, curves: Sequence[Curve]) -> Cell:
    """Return the cell beside which the cells of a curve are judged: the best time on one rank.

    Times to a goal are judged beside the best of all solvers, those of a number of iterations beside the solver's own.
    Virtual time is judged beside virtual time. Without a point on one rank, the fewest ranks are the baseline.
    """
    rivals = [one for one in curves if (one.budget, one.cluster) == (curve.budget, curve.cluster)]
    if curve.budget == "iterations":
        rivals = [one for one in rivals if one.series == curve.series]
    cells = [cell for one in rivals for cell in one.cells]
    fewest = min(cell.parallel for cell in cells)
    return min((cell for cell in cells if cell.parallel == fewest), key=lambda cell: cell.seconds.median)


def efficiency(cell: Cell, base: Cell, own: Cell, table: ScalingTable) -> Efficiency:
    """Return the efficiency of a cell.

    Parameters
    ----------
    base
        The baseline.
    own
        The solver's own cell on the fewest ranks.
    """
    total = base.seconds.median / cell.seconds.median / shrinks(cell, base, table)
    balance = cell.middle(_balance)
    communication = cell.middle(lambda row: _ratio(row.compute_max, row.seconds))
    nodes = cell.first.ranks / own.first.ranks
    scale = 1.0 if table.kind == "weak" else nodes
    return Efficiency(
        speed_up=total * cell.parallel,
        total=total,
        statistical=_ratio(own.middle(attrgetter("iterations")), cell.middle(attrgetter("iterations"))),
        hardware=_ratio(own.per_iteration, cell.per_iteration) / shrinks(cell, own, table),
        balance=balance,
        communication=communication,
        parallel=balance * communication,
        computation=_ratio(own.middle(_compute), cell.middle(_compute)) / scale,
    )


def throughput(cell: Cell) -> float:
    """Return the rows processed a second: passes over the data, times rows, over time."""
    return cell.middle(lambda row: None if row.work is None or not row.rows else row.work * row.rows / row.seconds)


def shrinks(cell: Cell, base: Cell, table: ScalingTable) -> float:
    """Return how many times shorter than on `base` the time is if scaling is ideal."""
    return 1.0 if table.kind == "weak" else cell.parallel / base.parallel


def _balance(row: Row) -> float | None:
    return None if row.compute is None or not row.compute_max else row.compute / row.compute_max


def _compute(row: Row) -> float | None:
    """Return the compute time of an iteration on a node, on average."""
    return None if row.compute is None or not row.iterations else row.compute / row.iterations


def _ratio(one: float | None, other: float | None) -> float:
    if one is None or other is None or math.isnan(one) or math.isnan(other) or other == 0.0:
        return math.nan
    return one / other
