"""Bounds on each weight, for example weights that are not negative."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hpcopt.annotations import check_types
from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.problems.penalties.base import Penalty, register
from hpcopt.problems.penalties.constraint import ROUNDOFF, Constraint

Bound = float | tuple[float, ...] | None


@register("box")
@dataclass(frozen=True, kw_only=True)
class Box(Constraint):
    """Bounds on the weights, lower <= w <= upper; with lower = 0, weights that are not negative.

    Parameters
    ----------
    lower, upper
        A number, or a list with one number per feature; without one of them, there is no bound on that side.
    """

    lower: Bound = None
    upper: Bound = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.lower is None and self.upper is None:
            raise InputError("lower: missing; expected lower, upper or both")
        lists = [bound for bound in (self.lower, self.upper) if isinstance(bound, tuple)]
        if len({len(bound) for bound in lists}) > 1:
            raise InputError(f"upper: expected {len(lists[0])} numbers, as many as in lower, got {len(lists[1])}")
        low, high = np.broadcast_arrays(*self._ends())
        for place in np.argwhere(low > high)[:1]:
            where = f"for feature {place[0]} " if place.size else ""
            one, other = low[tuple(place)], high[tuple(place)]
            raise InputError(f"upper: expected {where}at least {one:g}, the number in lower, got {other:g}")

    @property
    def per_feature(self) -> bool:
        return isinstance(self.lower, tuple) or isinstance(self.upper, tuple)

    def sized(self, features: int, outputs: int) -> Penalty:
        for name, bound in (("lower", self.lower), ("upper", self.upper)):
            if isinstance(bound, tuple) and len(bound) != features:
                raise InputError(f"{name}: expected a number or {features} numbers, one per feature, got {len(bound)}")
        return replace(self, lower=_repeated(self.lower, outputs), upper=_repeated(self.upper, outputs))

    def contains(self, w: Vector) -> bool:
        low, high = self._ends()
        room = ROUNDOFF * (1.0 + np.abs(w))
        return bool(np.all((w >= low - room) & (w <= high + room)))

    def projection(self, w: Vector, metric: Vector | None = None) -> Vector:  # noqa: ARG002
        return np.clip(w, *self._ends())

    def reach(self, value: float, size: int) -> float:  # noqa: ARG002
        low, high = self._ends()
        return float(np.linalg.norm(np.broadcast_to(np.maximum(np.abs(low), np.abs(high)), size)))

    def residual(self, w: Vector, gradient: Vector) -> Vector:
        low, high = self._ends()
        inward = np.where(w <= low, np.minimum(gradient, 0.0), gradient)
        return np.where(w >= high, np.maximum(inward, 0.0), inward)

    def words(self) -> str:
        low, high = ("" if bound is None else _told(bound) for bound in (self.lower, self.upper))
        return f"{low}{' <= ' if low else ''}w{' <= ' if high else ''}{high}"

    def _ends(self) -> tuple[Vector, Vector]:
        """Return the bounds, () or (penalised,) each."""
        low = -np.inf if self.lower is None else self.lower
        return np.asarray(low, dtype=np.float64), np.asarray(np.inf if self.upper is None else self.upper)


def _repeated(bound: Bound, outputs: int) -> Bound:
    """Return a bound on each weight, given one per feature."""
    return tuple(np.repeat(bound, outputs).tolist()) if isinstance(bound, tuple) else bound


def _told(bound: float | tuple[float, ...]) -> str:
    return "a list" if isinstance(bound, tuple) else f"{bound:.6g}"
