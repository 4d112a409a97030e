"""Small problems with known optima, distributed over nodes, for checking solvers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.oracle import Oracle
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix


@dataclass(frozen=True)
class Spread:
    """A problem's rows, and the number of rows on each node.

    Attributes
    ----------
    loss
        "squared" or "logistic".
    X, y
        The rows, dense or sparse of shape (n, d), and their targets, (n,).
    sizes
        Rows of each node.
    """

    loss: str
    X: Any
    y: Vector
    l2: float
    sizes: tuple[int, ...]

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.sizes)

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    @property
    def problem(self) -> Problem:
        """The objective, without rows."""
        entries = self.X.nnz if scipy.sparse.issparse(self.X) else self.X.size
        formulation = Formulation(Linear(), LOSSES[self.loss](), L2(weight=self.l2))
        return Problem(formulation, formulation.sized(self.d), total=len(self.y), entries=entries)

    def shards(self) -> list[Shard]:
        """Return each node's rows."""
        ends = np.cumsum(self.sizes)
        return [
            Shard(as_matrix(self.X[end - size : end]), self.y[end - size : end])
            for end, size in zip(ends, self.sizes, strict=True)
        ]

    def over(self, *sizes: int) -> Spread:
        """Return the same rows spread otherwise; `sizes` sum to their number."""
        assert sum(sizes) == len(self.y)
        return Spread(self.loss, self.X, self.y, self.l2, sizes)

    def sparse(self) -> Spread:
        """Return the same rows in sparse storage."""
        return Spread(self.loss, scipy.sparse.csr_array(self.X), self.y, self.l2, self.sizes)

    def serial(self) -> Oracle:
        """Return the objective over all rows on one node."""
        return self.over(len(self.y)).objectives()[0]

    def objectives(self) -> list[Oracle]:
        """Return every node's objective."""
        return [self.problem.on(shard, Meter()) for shard in self.shards()]

    def optimum(self) -> tuple[Vector, float]:
        """Return the minimiser and its objective, by plain Newton steps on dense arrays, independent of our code."""
        X = np.asarray(self.X.todense()) if scipy.sparse.issparse(self.X) else self.X
        n, d = X.shape
        w = np.zeros(d)
        for _ in range(100):
            z = X @ w
            if self.loss == "squared":
                residual, curvature = z - self.y, np.ones(n)
            else:
                p = 1.0 / (1.0 + np.exp(self.y * z))
                residual, curvature = -self.y * p, p * (1.0 - p)
            gradient = X.T @ residual / n + self.l2 * w
            hessian = X.T @ (curvature[:, None] * X) / n + self.l2 * np.eye(d)
            w = w - np.linalg.solve(hessian, gradient)
        z = X @ w
        losses = 0.5 * (z - self.y) ** 2 if self.loss == "squared" else np.logaddexp(0.0, -self.y * z)
        return w, float(losses.mean() + 0.5 * self.l2 * (w @ w))

    def optimum_of_least_squares(self) -> float:
        """Return the minimal mean squared loss, without l2 and for any rank, by numpy's least squares."""
        w = np.linalg.lstsq(self.X, self.y, rcond=None)[0]
        return float(0.5 * np.mean((self.X @ w - self.y) ** 2))


def ridge(n: int = 120, d: int = 6, nodes: int = 4, l2: float = 0.05, seed: int = 0) -> Spread:
    """Least squares with noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = X @ rng.standard_normal(d) + 0.5 * rng.standard_normal(n)
    return Spread("squared", X, y, l2, equal(n, nodes))


def logistic(n: int = 120, d: int = 6, nodes: int = 4, l2: float = 0.05, seed: int = 0) -> Spread:
    """Logistic regression with labels drawn from the model; a third of the features are zero."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.7)
    y = np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-X @ rng.standard_normal(d))), 1.0, -1.0)
    return Spread("logistic", X, y, l2, equal(n, nodes))


PROBLEMS = {"ridge": ridge, "logistic": logistic}
"""Both take `n` rows, `d` features, `nodes`, `l2` and a `seed`."""


def equal(n: int, nodes: int) -> tuple[int, ...]:
    """Return sizes that differ by at most one."""
    return tuple(n // nodes + (k < n % nodes) for k in range(nodes))
