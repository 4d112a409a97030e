"""A bound on the Hessian, and with it a preconditioner and a norm of gradients in which units of features don't matter.

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
    size
        d, its length.
    """

    features: int
    outputs: int
    shift: int
    intercept: bool
    size: int


@dataclass(frozen=True)
class Metric:
    """G or its diagonal, its inverse, and the corresponding centring.

    In *centred* coordinates an intercept includes the features' means times their weights: the other weights are the
    same, a displacement p has the intercept p_b + m.p, and G has no entries between weights and intercepts.

    Parameters
    ----------
    layout
        The layout of the vectors, shape (d,).
    means
        m, shape (features,); empty without an intercept.
    bound
        G for the weights of one output: its diagonal (features,), or the matrix (features, features). Columns that do
        not vary have a diagonal that is next to nothing, above 0.
    inverse
        Its inverse, 0 for columns that do not vary, of the same shape.
    curvature
        c, the entry of G for an intercept.
    """

    layout: Layout
    means: Vector
    bound: NDArray[np.float64]
    inverse: NDArray[np.float64]
    curvature: float

    @property
    def doubles(self) -> int:
        """Number of float64 reduced to compute it."""
        features = self.layout.features
        return self.means.size + (features * (features + 1) // 2 if self.full else features)

    @property
    def full(self) -> bool:
        """Whether correlations are taken into account."""
        return self.bound.ndim > 1

    @property
    def diagonal(self) -> Vector:
        """The diagonal of G in centred coordinates, shape (d,); 1 for weights behind a hidden layer."""
        found = np.ones(self.layout.size)
        weights, shifts = self._parts(found)
        weights[:] = (np.diagonal(self.bound) if self.full else self.bound)[:, None]
        shifts[:] = self.curvature
        return found

    def times(self, p: Vector) -> Vector:
        """Return G p in centred coordinates, shape (d,)."""
        product: Vector = self.diagonal * p
        if self.full:
            self._parts(product)[0][:] = self.bound @ self._parts(p)[0]
        return product

    def among(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rows and columns `chosen`, ascending, of G in centred coordinates, (m, m)."""
        found: NDArray[np.float64] = np.diag(self.diagonal[chosen])
        if self.full:
            outputs = self.layout.outputs
            inside = int(np.searchsorted(chosen, self.layout.features * outputs))
            feature, output = np.divmod(chosen[:inside], outputs)
            found[:inside, :inside] = self.bound[np.ix_(feature, feature)]
            found[:inside, :inside] *= output[:, None] == output
        return found

    def square(self, g: Vector) -> float:
        """Return g^T G^-1 g for `g` in centred coordinates."""
        weights, shifts = self._parts(g)
        behind = g[weights.size : self.layout.shift], g[self.layout.shift + shifts.size :]
        products = self._inverse_times(weights)
        products *= weights
        square = float(np.sum(products)) + float(shifts @ shifts) / self.curvature
        return square + sum(float(part @ part) for part in behind)

    def centred(self, g: Vector) -> Vector:
        """Return the gradient `g` in centred coordinates, shape (d,)."""
        found = g.copy()
        if self.means.size:
            weights, shifts = self._parts(found)
            weights -= np.outer(self.means, shifts)
        return found

    def displacement(self, p: Vector) -> Vector:
        """Return the displacement of the weights and intercepts for `p` in centred coordinates, shape (d,)."""
        found = p.copy()
        if self.means.size:
            weights, shifts = self._parts(found)
            shifts -= self.means @ weights
        return found

    def solve(self, g: Vector) -> Vector:
        """Return G^-1 g, shape (d,)."""
        p = self.centred(g)
        weights, shifts = self._parts(p)
        weights[:] = self._inverse_times(weights)
        shifts /= self.curvature
        return self.displacement(p)

    def norm(self, g: Vector) -> float:
        """Return sqrt(g^T G^-1 g)."""
        return math.sqrt(self.square(self.centred(g)))

    def relative(self, g: Vector, value: float, residual: Callable[[Vector], Vector] | None = None) -> float:
        """Return sqrt(g^T G^-1 g / 2 f) for the objective f >= 0: its square is a lower bound of (f - f*) / f.

        Parameters
        ----------
        residual
            Replaces g in centred coordinates by the residual of a penalty that is not smooth. It comes after centring:
            where it is 0, roundoff of an intercept's derivative, multiplied by a large mean, must not return.
        """
        centred = self.centred(g) if residual is None else residual(self.centred(g))
        square = self.square(centred)
        if square == 0.0:
            return 0.0
        return math.sqrt(square / (2.0 * value)) if value > 0.0 else math.inf

    def _parts(self, w: Vector) -> tuple[NDArray[np.float64], Vector]:
        """Return the weights (features, outputs) and intercepts (outputs,) or (0,) of a vector, as views."""
        layout = self.layout
        size = layout.features * layout.outputs
        return w[:size].reshape(layout.features, layout.outputs), w[layout.shift : layout.shift + layout.outputs]

    def _inverse_times(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        inverse = self.inverse
        product: NDArray[np.float64] = inverse @ weights if self.full else inverse[:, None] * weights
        return product


def measured(
    matrix: Matrix,
    mean: Callable[[Vector], Vector],
    layout: Layout,
    *,
    curvature: float,
    ridge: Vector,
    correlated: int,
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
    correlated
        Most features for which correlations are taken into account.
    """

    def everywhere(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return mean(total.ravel() / max(matrix.n, 1)).reshape(total.shape)

    features = layout.features
    means = everywhere(columns.sums(matrix)[:features]) if layout.intercept else np.zeros(0)
    centre = np.zeros(matrix.d)
    centre[: means.size] = means
    whole = features <= correlated
    if whole:
        second = _symmetric(everywhere(columns.gram(matrix, centre)[np.triu_indices(features)]), features)
    else:
        second = everywhere(columns.squares(matrix, centre)[:features])
    if not np.isfinite(second).all():  # squares of features overflow
        unknown = np.full(features, np.nan)
        return Metric(layout, means, unknown, unknown, curvature)
    variances = np.diagonal(second) if whole else second
    varies = variances > (ROUNDING * centre[:features]) ** 2
    extra = ridge + curvature * EPS * centre[:features] ** 2  # roundoff of a gradient with a large mean
    sizes = curvature * variances + extra
    sizes[~varies] = EPS * sizes[varies].min(initial=1.0)
    if not whole:
        return Metric(layout, means, sizes, np.where(varies, 1.0 / sizes, 0.0), curvature)
    G = curvature * second * np.outer(varies, varies)
    np.einsum("ii->i", G)[:] = sizes
    inverse = np.zeros((features, features))
    inverse[np.ix_(varies, varies)] = _inverse(G[np.ix_(varies, varies)])
    return Metric(layout, means, G, inverse, curvature)


def _symmetric(triangle: Vector, size: int) -> NDArray[np.float64]:
    """Return the symmetric matrix (size, size) with this upper triangle."""
    found = np.zeros((size, size))
    found[np.triu_indices(size)] = triangle
    return np.triu(found, 1).T + found


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
