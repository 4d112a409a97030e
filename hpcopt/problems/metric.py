"""A norm of gradients that does not depend on the units of the features, and the corresponding preconditioner.

    f(w + p) <= f(w) + g.p + p^T G p / 2        G = c C + l2 I,  C = (1/n) sum_i (x_i - m)(x_i - m)^T

G bounds the Hessian: c is the bound on the loss's curvature; with an intercept, m is the features' means (the
intercept's coordinate absorbs them, and all constant columns), otherwise 0. So g^T G^-1 g / 2 is a lower bound on f(w)
- f*, independent of the columns' units and, with an intercept, of their offsets; relative to f(w) it is also
independent of the targets' units. For least squares, sqrt(g^T G^-1 g / 2 f) is the cosine of the angle between the
residuals and the columns, the stop rule of LSQR (Paige and Saunders 1982). Models with several outputs have the same G
for each output; weights after a hidden layer are not scaled.
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

FULL_LIMIT = 256  # most features for which correlations are taken into account
EPS = float(np.finfo(np.float64).eps)
ROUNDING = 1e3 * EPS  # relative to the mean: a column that varies less around its mean is constant


@dataclass(frozen=True)
class Layout:
    """The layout of the features' weights and the intercepts in a solver's vector.

    Parameters
    ----------
    features, outputs
        The first features * outputs are weights of the features, row by row.
    shift
        The coordinate of the first output's intercept; those of the other outputs follow.
    intercept
        Whether there is one.
    """

    features: int
    outputs: int
    shift: int
    intercept: bool


@dataclass(frozen=True)
class Metric:
    """The inverse of G, or of its diagonal, and the corresponding centring.

    Parameters
    ----------
    layout
        The layout of the vectors, shape (d,).
    means
        m, shape (features,); empty without an intercept.
    inverse
        G^-1 for the weights of one output: its diagonal (features,), or the matrix (features, features).
    curvature
        c, the entry of G for an intercept.
    """

    layout: Layout
    means: Vector
    inverse: NDArray[np.float64]
    curvature: float

    @property
    def doubles(self) -> int:
        """Number of float64 reduced to compute it, if only the diagonal is known."""
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
        products = self._inverse_times(weights)
        products *= weights
        square = float(np.sum(products)) + float(shifts @ shifts) / self.curvature
        return math.sqrt(square + sum(float(part @ part) for part in behind))

    def relative(self, g: Vector, value: float) -> float:
        """Return sqrt(g^T G^-1 g / 2 f) for the objective f >= 0: its square is a lower bound of (f - f*) / f."""
        norm = self.norm(g)
        if norm == 0.0:
            return 0.0
        return norm / math.sqrt(2.0 * value) if value > 0.0 else math.inf

    def _parts(self, w: Vector) -> tuple[NDArray[np.float64], Vector]:
        """Return the weights (features, outputs) and intercepts (outputs,) or (0,) of a vector, as views."""
        layout = self.layout
        size = layout.features * layout.outputs
        return w[:size].reshape(layout.features, layout.outputs), w[layout.shift : layout.shift + layout.outputs]

    def _centred(self, g: Vector) -> NDArray[np.float64]:
        """Return the weights' part of the gradient for centred features, (features, outputs), perhaps a view."""
        weights, shifts = self._parts(g)
        return weights - np.outer(self.means, shifts) if self.means.size else weights

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
    """Return the metric of the rows of all shards; collective.

    Parameters
    ----------
    matrix
        This shard's rows; only the first `layout.features` columns are used.
    mean
        Returns the mean of a vector over the rows of all shards, given this shard's mean.
    ridge
        The penalty's contribution to the diagonal, shape (features,).
    full
        Whether to take correlations into account, for at most `FULL_LIMIT` features.
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
    if not np.isfinite(second).all():  # squares of features overflow
        return Metric(layout, means, np.full(features, np.nan), curvature)
    variances = np.diagonal(second) if whole else second
    varies = variances > (ROUNDING * centre[:features]) ** 2
    extra = ridge + curvature * EPS * centre[:features] ** 2  # roundoff of a gradient with a large mean
    if whole:
        G = curvature * second
        np.einsum("ii->i", G)[:] += extra
        inverse = np.zeros((features, features))
        inverse[np.ix_(varies, varies)] = _inverse(G[np.ix_(varies, varies)])
    else:
        inverse = np.divide(1.0, curvature * second + extra, out=np.zeros(features), where=varies)
    return Metric(layout, means, inverse, curvature)


def _inverse(G: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a positive semidefinite matrix whose rows may have different units.

    After scaling to a unit diagonal, eigenvalues are bounded below by their roundoff, so that the roundoff of a
    gradient in these directions does not get an infinite weight.
    """
    size = np.sqrt(np.diagonal(G))
    size = np.where(size > 0.0, size, 1.0)
    values, vectors = np.linalg.eigh(G / np.outer(size, size))
    inverse: NDArray[np.float64] = (vectors / np.maximum(values, len(size) * EPS)) @ vectors.T / np.outer(size, size)
    return inverse
