"""The sum of the norms of groups of weights: a group is zero as a whole, or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from hpcopt.annotations import AtLeastZero, Whole, check_types
from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.problems.penalties.base import Penalty, Weight, quotient, register
from hpcopt.problems.penalties.secular import solutions

Group = Annotated[tuple[Whole, ...], Meta(min_length=1)]


@register("group-lasso")
@dataclass(frozen=True, kw_only=True)
class GroupLasso(Penalty):
    """Group lasso, weight sum_g c_g ||w_g||: it makes groups of weights zero, for example all dummies of a category.

    From Yuan and Lin (2006).

    Parameters
    ----------
    weight
        A number, or "c/n" with n the number of training rows.
    groups
        A list of lists of features, counted from 0; each feature is in one group. With several outputs, a feature
        stands for its weights in all of them.
    group_weights
        c_g, one number per group; default: the square root of its number of weights.
    """

    weight: Weight
    groups: Annotated[tuple[Group, ...], Meta(min_length=1)]
    group_weights: tuple[AtLeastZero, ...] | None = None

    smooth = False
    curvature = 0.0
    per_feature = True

    def __post_init__(self) -> None:
        check_types(self)
        counts = Counter(feature for group in self.groups for feature in group)
        twice = next((feature for feature, count in counts.items() if count > 1), None)
        if twice is not None:
            raise InputError(f"groups: feature {twice} is named {counts[twice]} times; each feature is in one group")
        weights = self.group_weights
        if weights is not None and len(weights) != len(self.groups):
            wanted = f"{len(self.groups)} number{'s' * (len(self.groups) > 1)}, one per group"
            raise InputError(f"group_weights: expected {wanted}, got {len(weights)}")

    def sized(self, features: int, outputs: int) -> Penalty:
        named = {feature for group in self.groups for feature in group}
        beyond, missing = max(named), next((j for j in range(features) if j not in named), None)
        if beyond >= features:
            raise InputError(f"groups: there is no feature {beyond}; the data have the features 0 to {features - 1}")
        if missing is not None:
            raise InputError(f"groups: feature {missing} is in no group; each feature is in one group")
        several = range(outputs)
        groups = tuple(tuple(j * outputs + k for j in group for k in several) for group in self.groups)
        return replace(self, groups=groups)

    def value(self, w: Vector) -> float:
        return float(self._strengths @ self._norms(w[self._order]))

    def reach(self, value: float, size: int) -> float:  # noqa: ARG002
        return quotient(value, float(self._strengths.min()))

    def prox(self, w: Vector, step: float, metric: Vector | None = None) -> Vector:
        ordered = w[self._order]
        shrinking = step * self._strengths
        if metric is None:
            norms = self._norms(ordered)
            factors = np.maximum(norms - shrinking, 0.0) / np.where(norms > 0.0, norms, 1.0)
            ordered *= np.repeat(factors, self._sizes)
        else:  # u = w s / (s + e), where s is the norm of the group's u, or 0
            e = np.repeat(shrinking, self._sizes) / metric[self._order]
            s = np.repeat(solutions(ordered, e, self._sizes), self._sizes)
            ordered *= np.divide(s, s + e, out=np.zeros_like(s), where=s > 0.0)
        u = np.empty_like(w)
        u[self._order] = ordered
        return u

    def residual(self, w: Vector, gradient: Vector) -> Vector:
        ordered, slopes = w[self._order], gradient[self._order]
        norms, steepness = self._norms(ordered), self._norms(slopes)
        away = np.where(norms > 0.0, self._strengths / np.where(norms > 0.0, norms, 1.0), 0.0)
        rest = np.maximum(steepness - self._strengths, 0.0) / np.where(steepness > 0.0, steepness, 1.0)
        kept = np.where(norms > 0.0, 1.0, rest)
        residual = np.empty_like(gradient)
        residual[self._order] = slopes * np.repeat(kept, self._sizes) + ordered * np.repeat(away, self._sizes)
        return residual

    def words(self) -> str:
        return f"weight sum_g c_g ||w_g||, weight = {self.weight:.6g}, {len(self.groups)} groups"

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """The coordinates, group by group."""
        return np.array([j for group in self.groups for j in group])

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return np.array([len(group) for group in self.groups])

    @cached_property
    def _strengths(self) -> Vector:
        """Weight times c_g, shape (groups,)."""
        return self.weight * (np.sqrt(self._sizes) if self.group_weights is None else np.array(self.group_weights))

    def _norms(self, ordered: Vector) -> Vector:
        """Return the norm of each group, shape (groups,), of a vector that is ordered by groups."""
        return np.sqrt(np.add.reduceat(ordered**2, np.cumsum(self._sizes) - self._sizes))
