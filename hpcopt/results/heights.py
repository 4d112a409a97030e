"""The vertical quantities of pictures: the objective or its distance to the optimum, and what else a run measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpcopt.errors import InputError
from hpcopt.results.curves import Curve
from hpcopt.results.goal import WHOSE, Goal
from hpcopt.results.record import Record

OTHERS = {
    "consensus": ("rms distance to the mean model", True),
    "grad_norm": ("norm of the gradient", True),
    "scaled_gradient": ("scaled gradient", True),
    "kkt": ("largest residual", True),
    "nonzeros": ("weights other than zero", False),
    "test_accuracy": ("test accuracy (fraction of rows)", False),
    "test_error": ("test error (mean square)", False),
}
"""What a run measures beside objectives: column of the trace -> (words for it, whether the axis is logarithmic)."""

UPWARDS = (*("objective", "suboptimality", "mean_objective", "worst_objective"), *OTHERS)
"""Names of the vertical quantities."""

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
        value = getattr(record, self.column)
        if value is None and self.column in WHOSE and record.consensus is None:
            value = record.objective  # all nodes have the same model
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
        ends = [self.measured(last) for last in curve.lasts]
        return 2 * sum(not (math.isfinite(end) and end <= self.ceiling) for end in ends) > len(ends)


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
    values = [value for curve in curves for value in _values(curve, plain)]
    ceiling = _ceiling(starts)
    if not values:
        return Height(name, False, goal.column, ceiling=ceiling)
    lowest = min(values)
    logarithmic = lowest > 0 and max(starts) > _DECADES * lowest
    if goal.optimum is None:
        return Height(name, logarithmic, goal.column, ceiling=ceiling)
    if goal.undercut(record for curve in curves for record in curve.records) is not None:
        name = f"{name} (below problem.optimum, {goal.optimum:.4g})"
        return Height(name, logarithmic, goal.column, ceiling=ceiling)
    return Height(f"{name} minus the optimum ({goal.optimum:.8g})", True, goal.column, goal.optimum, ceiling)


def _ceiling(starts: Sequence[float]) -> float:
    """Return the upper limit of the scale: somewhat higher than all of these values, those of the objective's start."""
    highest = max((start for start in starts if math.isfinite(start)), default=math.inf)
    return highest + max(abs(highest), 1.0)


def other_height(column: str, curves: Sequence[Curve]) -> Height:
    """Return the quantity of a column of the trace; its name tells whose it is if nodes have their own models.

    Where a run's objective leaves the scale, so may other quantities: the limit is the highest value of the others.
    """
    name, logarithmic = OTHERS[column]
    apart = {first.consensus is not None for curve in curves for first in curve.firsts}
    if True in apart and column != "consensus":
        name += ", mean model" if apart == {True} else ", of the mean model where nodes have their own"
    height = Height(name, logarithmic, column)
    judged = judged_height(curves, Goal())
    lefts = [judged.is_left_by(curve) for curve in curves]
    values = [value for curve, left in zip(curves, lefts, strict=True) if not left for value in _values(curve, height)]
    return replace(height, ceiling=2.0 * max(values)) if any(lefts) and values else height


def chosen_height(name: str, curves: Sequence[Curve], goal: Goal) -> Height:
    """Return the quantity of a name in `UPWARDS`.

    Raises
    ------
    InputError
        If a run doesn't measure it, with what it measures; for the distance to an optimum that is not known.
    """
    if name == "suboptimality":
        if goal.optimum is None:
            raise InputError('y: suboptimality needs an optimum of the runs: problem.optimum, a number or "auto"')
        return judged_height(curves, goal)
    for curve in curves:
        there = [each for each in UPWARDS if each != "suboptimality" and _values(curve, Height(each, False, each))]
        if name not in there:
            raise InputError(f"y: {curve.label} does not measure {name}; it measures {', '.join(there)}")
    if name in WHOSE:
        return judged_height(curves, Goal(column=name))
    return other_height(name, curves)


def _values(curve: Curve, height: Height) -> list[float]:
    return [value for record in curve.records if math.isfinite(value := height.measured(record))]
