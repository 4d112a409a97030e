"""The vertical quantities of pictures: the objective or its distance to the optimum, and what else a run measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpcopt.results.curves import Curve
from hpcopt.results.goal import WHOSE, Goal
from hpcopt.results.record import Record

OTHERS = {
    "grad_norm": ("norm of the gradient", True),
    "consensus": ("rms distance to the mean model", True),
    "nonzeros": ("weights other than zero", False),
    "test_accuracy": ("test accuracy", False),
    "test_error": ("test error", False),
}
"""What a run measures beside objectives: column of the trace -> (name, whether logarithmic)."""

_WHOLE = {"nonzeros"}
_DECADES = 10.0  # a quantity that falls by more than this factor gets a logarithmic axis
_ROUNDOFF = 1e-15  # relative: smaller differences of objectives are roundoff


@dataclass(frozen=True)
class Height:
    """A vertical quantity.

    Parameters
    ----------
    name
        Label of the axis.
    logarithmic
        Whether the axis is logarithmic.
    column
        The column of the trace.
    optimum
        Subtracted from every objective.
    ceiling
        Larger values are off the scale, so that a run that diverges doesn't flatten the others.
    """

    name: str
    logarithmic: bool
    column: str = "objective"
    optimum: float | None = None
    ceiling: float = math.inf

    @property
    def is_whole(self) -> bool:
        """Whether it is counted in whole numbers."""
        return self.column in _WHOLE

    def measured(self, record: Record) -> float:
        """Return the value in a record; NaN if it is not measured there."""
        if self.column in WHOSE:
            return record.judged(self.column).objective
        value = getattr(record, self.column)
        return math.nan if value is None else float(value)

    def above(self, value: float) -> float:
        """Return the height of a value, above the optimum by at least roundoff; NaN if it has none."""
        if not math.isfinite(value):
            return math.nan
        if self.optimum is None:
            return value if value > 0 or not self.logarithmic else math.nan
        return max(value - self.optimum, _ROUNDOFF * max(abs(self.optimum), abs(value))) or math.nan

    def of(self, record: Record) -> float:
        """Return the height of a record; NaN if it has none."""
        return self.above(self.measured(record))

    def is_left_by(self, curve: Curve) -> bool:
        """Return whether most traces of a curve end off the scale."""
        off = [not self.measured(last) <= self.ceiling or math.isinf(self.measured(last)) for last in curve.lasts]
        return 2 * sum(off) > len(off)


def judged_height(curves: Sequence[Curve], goal: Goal) -> Height:
    """Return the quantity that the goal judges, chosen for all curves together.

    The distance to the optimum if that is known; if a run is below it, the given optimum is wrong, and the axis says
    so. Otherwise the objective itself, never its distance to the lowest recorded value: such a curve always bends down
    at its end.
    """
    firsts = [first for curve in curves for first in curve.firsts]
    name = goal.whose(first.consensus is not None for first in firsts)
    plain = Height(name, False, goal.column)
    starts = [plain.measured(first) for first in firsts]
    values = [value for curve in curves for record in curve.records if math.isfinite(value := plain.measured(record))]
    ceiling = _ceiling(starts)
    if not values:
        return Height(name, False, goal.column, ceiling=ceiling)
    lowest = min(values)
    logarithmic = lowest > 0 and max(starts) > _DECADES * lowest
    if goal.optimum is None:
        return Height(name, logarithmic, goal.column, ceiling=ceiling)
    if goal.undercut(record for curve in curves for record in curve.records) is not None:
        name = f"{name} (as low as {lowest:.8g}: below problem.optimum, {goal.optimum:.8g})"
        return Height(name, logarithmic, goal.column, ceiling=ceiling)
    return Height(f"{name} minus the optimum ({goal.optimum:.8g})", True, goal.column, goal.optimum, ceiling)


def _ceiling(starts: Sequence[float]) -> float:
    """Return the upper limit of the objective: somewhat higher than every starting value."""
    highest = max((start for start in starts if math.isfinite(start)), default=math.inf)
    return highest + max(abs(highest), 1.0)


def other_height(column: str, own: str = "") -> Height:
    """Return the quantity of a column of the trace, with an addition to its name."""
    name, logarithmic = OTHERS[column]
    return Height(name + own, logarithmic, column)
