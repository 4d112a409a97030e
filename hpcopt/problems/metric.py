"""A norm of gradients that does not depend on the units of the features, and the preconditioner that belongs to it.

    f(w + p) <= f(w) + g.p + p^T G p / 2        G = c C + l2 I,  C = (1/n) sum_i (x_i - m)(x_i - m)^T

G bounds the Hessian: c is the bound of the loss's curvature, m the features' means where there is an intercept (whose
coordinate then absorbs them, and constant columns altogether) and 0 elsewhere. So g^T G^-1 g / 2 is a lower bound of
f(w) - f*, whatever the columns' units and, with an intercept, their offsets; beside f(w) it does not depend on the
targets' units either. For least squares, sqrt(g^T G^-1 g / 2 f) is the cosine of the angle between the residuals and
the columns, by which LSQR stops (Paige and Saunders 1982). Models of many outputs have the same G for each of them; the
weights behind a hidden layer are taken as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.problems import columns
from hpcopt.problems.matrix import Matrix

FULL_LIMIT = 256  # features up to which correlations are seen, too
EPS = float(np.finfo(np.float64).eps)
ROUNDING = 1e3 * EPS  # of a mean, relative: a column that varies by no more about its own is a constant


@dataclass(frozen=True)
class Layout:
    """Which coordinates of a solver's vector belong to the features.

    Parameters
    ----------
    features, outputs
        The first features * outputs are weights of the features, row by row.
    shift
        The coordinate with the first output's intercept; those of the others follow it.
    intercept
        Whether there is one.
    """

    features: int
    outputs: int
    shift: int
    intercept: bool


@dataclass(frozen=True)
class Metric:
    """G, as far as it is known: its inverse, and the centring that belongs to it.

    Parameters
    ----------
    layout
        Of the vectors that it is asked for, shape (d,).
    means
        m, shape (features,); empty where there is no intercept.
    inverse
        G^-1 of an output's weights: its diagonal (features,), or all of it (features, features).
    curvature
        c, which is G of an intercept.
    """

    layout: Layout
    means: Vector
    inverse: NDArray[np.float64]
    curvature: float

    @property
    def doubles(self) -> int:
        """How many float64 a node has sent to know it, if only the diagonal is known."""
        return self.layout.features + self.means.size

    def solve(self, g: Vector) -> Vector:
        """Return G^-1 g, shape (d,)."""
        p = g.copy()
        weights, shifts = self._parts(p)
        weights[:] = self._inverse_times(self._centred(g))
        shifts /= self.curvature
        if self.means.size:
            shifts -= self.means @ weights
        return p

    def norm(self, g: Vector) -> float:
        """Return sqrt(g^T G^-1 g)."""
        weights = self._centred(g)
        _, shifts = self._parts(g)
        behind = g[weights.size : self.layout.shift], g[self.layout.shift + shifts.size :]
        square = float(np.sum(weights * self._inverse_times(weights))) + float(shifts @ shifts) / self.curvature
        return math.sqrt(square + sum(float(part @ part) for part in behind))

    def relative(self, g: Vector, value: float) -> float:
        """Return sqrt(g^T G^-1 g / 2 f) for the objective f >= 0: its square is a lower bound of (f - f*) / f."""
        norm = self.norm(g)
        if norm == 0.0:
            return 0.0
        return norm / math.sqrt(2.0 * value) if value > 0.0 else math.inf

    def _parts(self, w: Vector) -> tuple[NDArray[np.float64], Vector]:
        """Return the weights (features, outputs) and intercepts (outputs,) or (0,) that a vector holds, as views."""
        layout = self.layout
        size = layout.features * layout.outputs
        return w[:size].reshape(layout.features, layout.outputs), w[layout.shift : layout.shift + layout.outputs]

    def _centred(self, g: Vector) -> NDArray[np.float64]:
        """Return the weights' part of the gradient for features less their means, (features, outputs), a new array."""
        weights, shifts = self._parts(g)
        return weights - np.outer(self.means, shifts) if self.means.size else weights.copy()

    def _inverse_times(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        inverse = self.inverse
        product: NDArray[np.float64] = inverse @ weights if inverse.ndim > 1 else inverse[:, None] * weights
        return product


def measured(
    matrix: Matrix,
    mean: Callable[[Vector], Vector],
    layout: Layout,
    *,
    curvature: float,
    ridge: Vector,
    full: bool,
) -> Metric:
    """Return the metric of the shards' rows together; every node calls it.

    Parameters
    ----------
    matrix
        This shard's rows; the first `layout.features` columns are taken.
    mean
        Returns the mean of a vector over the rows of all shards, given this shard's mean.
    ridge
        What the penalty adds to the diagonal, shape (features,).
    full
        Whether to see correlations, of `FULL_LIMIT` features at most.
    """

    def everywhere(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return mean(total.ravel() / max(matrix.n, 1)).reshape(total.shape)

    features = layout.features
    means = everywhere(columns.sums(matrix)[:features]) if layout.intercept else np.zeros(0)
    centre = np.zeros(matrix.d)
    centre[: means.size] = means
    whole = full and features <= FULL_LIMIT
    if whole:
        second = everywhere(columns.gram(matrix, centre)[:features, :features])
    else:
        second = everywhere(columns.squares(matrix, centre)[:features])
    variances = np.diagonal(second) if whole else second
    varies = variances > (ROUNDING * centre[:features]) ** 2
    extra = ridge + curvature * EPS * centre[:features] ** 2  # what rounding leaves of a gradient beside a large mean
    if whole:
        G = curvature * second
        np.einsum("ii->i", G)[:] += extra
        inverse = np.zeros((features, features))
        inverse[np.ix_(varies, varies)] = _inverse(G[np.ix_(varies, varies)])
    else:
        inverse = np.divide(1.0, curvature * second + extra, out=np.zeros(features), where=varies)
    return Metric(layout, means, inverse, curvature)


def _inverse(G: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a positive semidefinite matrix whose rows may have units of their own.

    No eigenvalue beside a diagonal of ones is taken for less than its rounding: what is left of a gradient there
    weighs as much as it can be told from rounding, and not infinitely.
    """
    size = np.sqrt(np.diagonal(G))
    size = np.where(size > 0.0, size, 1.0)
    values, vectors = np.linalg.eigh(G / np.outer(size, size))
    inverse: NDArray[np.float64] = (vectors / np.maximum(values, len(size) * EPS)) @ vectors.T / np.outer(size, size)
    return inverse
