"""The oracle: objective, derivatives and Newton directions on one node's shard, every call metered.

    f_k(w) = (1/n_k) sum_{i in shard k} l(x_i.w, y_i) + r(w)
    f(w)   = sum_k (n_k/n) f_k(w)

The penalty r is inside every f_k, so f_k is a whole objective of its own; on a shard without rows, whose share is 0,
f_k is 0. An intercept is the last coordinate of w (its feature is a column of ones) and is not penalised.

Solvers start with `f.at(w)`: a point stores its margins, so value and gradient together cost one pass over the shard,
each Hessian-vector product one more, and trial values along a ray none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.fabric.meter import Meter
from hpcopt.kernels.pointwise import loss_sums, ray_losses
from hpcopt.problems.conjugate_gradient import conjugate_gradient
from hpcopt.problems.lanczos import largest_eigenvalue, largest_eigenvalue_of
from hpcopt.problems.losses import MarginLoss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.memory import recall, remembered
from hpcopt.problems.metric import Layout, Metric, measured
from hpcopt.problems.oracle import SparseRows
from hpcopt.problems.penalties import Penalty
from hpcopt.problems.penalties.none import NoPenalty
from hpcopt.problems.spare import SpareVectors

CG_CAP = 100  # products in a local CG solve; in the paper's experiments more than 50 made no difference
MARGINS = 2**18  # of all models that are multiplied with the rows in one product, and as many weights
GRAM_LIMIT = 256  # most features for which X'X is formed to get its largest eigenvalue
PIECE = 1e6  # operations per millisecond in a loop over rows
POINTWISE_FLOPS = 20  # charged for one evaluation of a loss and its derivatives


class FirstOrderObjective:
    """The objective f_k on one node's shard, for losses without second derivatives; an `Oracle`.

    Parameters
    ----------
    matrix
        The shard's rows, n_k x d.
    y
        Targets, shape (n_k,): -1/+1 if the loss requires two classes.
    loss
        The loss of a margin.
    penalty
        The penalty on the weights.
    total
        Number of rows of all shards.
    meter
        The meter that counts the work.
    penalised
        Number of leading coordinates that the penalty acts on; default: all. The last one may be an intercept.
    entries
        Number of stored entries of all shards; default: as if all had as many per row as this one.
    """

    def __init__(
        self,
        matrix: Matrix,
        y: Vector,
        loss: MarginLoss,
        penalty: Penalty,
        *,
        total: int,
        meter: Meter,
        penalised: int | None = None,
        entries: int | None = None,
    ) -> None:
        self.matrix = matrix
        self.y = y
        self.loss = loss
        self.penalty = penalty
        self.total = total
        self.meter = meter
        meter.storage, meter.nbytes = matrix.kind, matrix.nbytes
        self.n = matrix.n
        self.d = matrix.d
        self.share = matrix.n / total
        """n_k / n: the weight of this shard in f; the shares of all nodes sum to one."""
        self.divisor = max(matrix.n, 1)
        """What the sum over the rows is divided by."""
        self.own_penalty = penalty if matrix.n else NoPenalty()
        """The penalty in f_k."""
        self.penalised = matrix.d if penalised is None else penalised
        """Number of leading coordinates with the penalty."""
        self.coordinates_per_row = matrix.nnz / self.divisor if entries is None else entries / total
        self.piece = max(1, int(PIECE * matrix.n / (4.0 * matrix.nnz + POINTWISE_FLOPS * matrix.n))) if matrix.n else 1
        self.spare = SpareVectors(matrix.n)
        self._last: FirstOrderPoint | None = None

    def at(self, w: Vector) -> FirstOrderPoint:
        """Return f_k at `w`, shape (d,); a repeated call with the same `w` costs nothing."""
        if self._last is None or not np.array_equal(self._last.w, w):
            self._last = self._point(w)
        return self._last

    def _point(self, w: Vector) -> FirstOrderPoint:
        return FirstOrderPoint(self, w)

    def remembered(self) -> dict[str, Any]:
        """Return, as plain data, the last point and the names of its cached values."""
        return remembered(self._last)

    def recall(self, memory: dict[str, Any]) -> None:
        """Restore what `remembered` returned, on the same shard; no work is charged."""
        self._last = None
        if memory:
            recall(self.at(memory["w"]), memory, self.meter)

    def gradient_of_rows(self, w: Vector, rows: NDArray[np.int64], *, loss_only: bool = False) -> Vector:
        """Return the gradient at `w` of the mean loss over `rows` plus the penalty; see `Oracle.gradient_of_rows`."""
        touched = self.matrix.nnz * len(rows) / self.divisor
        with self.meter.working(4.0 * touched + POINTWISE_FLOPS * len(rows) + 2.0 * self.d, touched, "rows"):
            _, gradient = self.matrix.gradient_of_rows(self.loss.code, self.y, w, rows)
            gradient /= max(len(rows), 1)
            if not loss_only:
                self.own_penalty.add_gradient(w[: self.penalised], gradient[: self.penalised])
        return gradient

    def sparse_rows(self, rows: NDArray[np.int64]) -> SparseRows:
        """Return `rows` as a batch; see `Oracle.sparse_rows`."""
        with self.meter.working(0.0, 0.0, "restrict", self.matrix.nnz * len(rows) / self.divisor):
            coordinates, few = self.matrix.restricted(rows)
            y = self.y[rows]

        def gradient(w: Vector) -> Vector:
            touched = self.matrix.nnz * few.n / self.divisor
            with self.meter.working(4.0 * touched + POINTWISE_FLOPS * few.n, touched, "rows"):
                _, values = few.gradient_of_rows(self.loss.code, y, w, np.arange(few.n))
                values /= max(few.n, 1)
            return values

        return SparseRows(coordinates, gradient)

    def sgd(self, w: Vector, rows: NDArray[np.int64], batch: int, step_sizes: Vector) -> Vector:
        """Return the result of minibatch gradient steps from `w`.

        Parameters
        ----------
        rows
            Rows in the order of their use, cut into consecutive batches of `batch` rows; the last may be shorter.
        step_sizes
            One for each step, shape (ceil(len(rows) / batch),).
        """
        after = w.copy()
        touched = self.matrix.nnz * len(rows) / self.divisor
        flops = 4.0 * touched + POINTWISE_FLOPS * len(rows) + 3.0 * self.d * len(step_sizes)
        with self.meter.working(flops, touched, "steps"):
            curvature, penalised = self.penalty.curvature, self.penalised
            self.matrix.sgd_steps(self.loss.code, self.y, after, rows, batch, step_sizes, curvature, penalised)
        return after

    def values(self, models: NDArray[np.float64], penalties: Vector | None = None) -> Vector:
        """Return f_k of each of `models`, shape (m, d), as (m,); see `Oracle.values`."""
        if penalties is None or not self.n:
            penalties = np.array([self.own_penalty.value(w[: self.penalised]) for w in models])
        values = penalties.copy()
        together = max(1, MARGINS // max(self.n, self.d))
        for first in range(0, len(models), together):
            some = models[first : first + together]
            with self.meter.working(
                (2.0 * self.matrix.nnz + POINTWISE_FLOPS * self.n) * len(some), self.matrix.nnz * len(some), "values"
            ):
                margins = np.ascontiguousarray(self.matrix.products(some.T, slice(None)).T)
                sums = np.empty(len(some))
                loss_sums(self.loss.code, margins, self.y, sums)
                values[first : first + len(some)] += sums / self.divisor
        return values

    def smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of f_k.

        The curvature bound of the loss times the largest eigenvalue of X'X / n_k, plus the penalty's curvature. The
        eigenvalue is computed directly if X'X is small, otherwise by Lanczos, in a few passes, with a relative error of
        1e-3, which is added.
        """
        ones = np.ones(self.n)
        if self.d <= GRAM_LIMIT:
            with self.meter.working(self.matrix.gram_flops + 4.0 / 3.0 * self.d**3, self.matrix.nnz, "spectrum"):
                largest = largest_eigenvalue_of(self.matrix.gram(ones))
        else:
            largest = self._largest_by_lanczos(ones)
        return self._curvature_bound() * largest / self.divisor + self.own_penalty.curvature

    def _largest_by_lanczos(self, ones: Vector) -> float:
        def product(v: Vector) -> Vector:
            with self.meter.working(4.0 * self.matrix.nnz, self.matrix.nnz, "product"):
                return self.matrix.hessian_product(ones, v)

        return largest_eigenvalue(product, self.d)

    def row_smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of any one row's loss plus the penalty.

        The curvature bound of the loss times the largest squared norm of a row, plus the penalty's curvature. One pass.
        """
        with self.meter.working(2.0 * self.matrix.nnz, self.matrix.nnz, "margins"):
            return self._curvature_bound() * self.matrix.largest_row() + self.own_penalty.curvature

    def metric(self, mean: Callable[[Vector], Vector], *, correlated: int = 0, loss_only: bool = False) -> Metric:
        """Return a bound on the Hessian of f, for preconditioners and norms of gradients; see `Oracle.metric`."""
        intercept = self.penalised == self.d - 1
        features = self.d - intercept
        ridge = np.zeros(features)
        if not loss_only:
            ridge[: self.penalised] = self.penalty.curvature
        with self.meter.working(3.0 * self.matrix.nnz, self.matrix.nnz, "product"):
            return measured(
                self.matrix,
                mean,
                Layout(features, outputs=1, shift=features, intercept=intercept, size=self.d),
                curvature=self.loss.curvature_bound or 1.0,
                ridge=ridge,
                correlated=correlated,
            )

    def _curvature_bound(self) -> float:
        if self.loss.curvature_bound is None:
            raise InputError(f'step_size: loss "{self.loss.name}" has no known smoothness constant L; give a number')
        return self.loss.curvature_bound


class Objective(FirstOrderObjective):
    """The objective f_k on one node's shard, with second derivatives."""

    def at(self, w: Vector) -> Point:
        """Return f_k at `w`, shape (d,); a repeated call with the same `w` costs nothing."""
        here = super().at(w)
        assert isinstance(here, Point)
        return here

    def _point(self, w: Vector) -> Point:
        return Point(self, w)


class FirstOrderPoint:
    """f_k and its gradient at one w; each is computed at its first use."""

    def __init__(self, f: FirstOrderObjective, w: Vector) -> None:
        self.f = f
        self.w = w.copy()

    @cached_property
    def _pass(self) -> tuple[float, Vector, Vector, Vector]:
        """Sum of losses, gradient of their mean (d,), margins (n,), curvatures (n,): one pass."""
        f = self.f
        with f.meter.working(4.0 * f.matrix.nnz + POINTWISE_FLOPS * f.n + 4.0 * f.d, f.matrix.nnz, "gradient"):
            found = f.matrix.loss_gradient(f.loss.code, f.y, self.w, (f.spare.take(), f.spare.take()))
            np.divide(found[1], f.divisor, out=found[1])
        return found

    def __del__(self) -> None:
        """Return margins and curvatures for reuse: only this point and its rays have references to them."""
        if "_pass" in self.__dict__:
            self.f.spare.give(self._pass[2])
            self.f.spare.give(self._pass[3])

    @cached_property
    def value(self) -> float:
        """f_k(w)."""
        return self._pass[0] / self.f.divisor + self.f.own_penalty.value(self.w[: self.f.penalised])

    @property
    def loss_gradient(self) -> Vector:
        """Gradient of the mean loss at w, shape (d,)."""
        return self._pass[1]

    @cached_property
    def gradient(self) -> Vector:
        """Gradient of f_k at w, with the smooth part of the penalty, shape (d,)."""
        f = self.f
        if not f.own_penalty.curvature:
            return self.loss_gradient
        gradient = self.loss_gradient.copy()
        f.own_penalty.add_gradient(self.w[: f.penalised], gradient[: f.penalised])
        return gradient


class Point(FirstOrderPoint):
    """f_k and its derivatives at one w, and its values on rays from there."""

    def hessian_product(self, v: Vector) -> Vector:
        """Return the Hessian of f_k at w times v, shape (d,). One pass."""
        f = self.f
        curvatures = self._pass[3]
        with f.meter.working(4.0 * f.matrix.nnz + 3.0 * f.n + 3.0 * f.d, f.matrix.nnz, "product"):
            product = f.matrix.hessian_product(curvatures, v)
            product /= f.divisor
            product[: f.penalised] += f.own_penalty.curvature * v[: f.penalised]
        return product

    @cached_property
    def _hessian_of_losses(self) -> NDArray[np.float64]:
        """Hessian of the mean loss, (d, d)."""
        f = self.f
        curvatures = self._pass[3]
        with f.meter.working(f.matrix.gram_flops, f.matrix.nnz, "gram"):
            hessian = f.matrix.gram(curvatures)
            hessian /= f.divisor
        return hessian

    def hessian(self, ridge: float | None = None) -> NDArray[np.float64]:
        """Return the Hessian of f_k at w, shape (d, d), float64.

        `ridge`, if given, replaces the penalty's curvature. One pass for the first call, none afterwards.
        """
        f = self.f
        hessian = self._hessian_of_losses.copy(order="K")
        diagonal = np.einsum("ii->i", hessian)
        diagonal[: f.penalised] += f.own_penalty.curvature if ridge is None else ridge
        return hessian

    def newton_direction(self, gradient: Vector | None = None, ridge: float | None = None) -> Vector:
        """Return H^-1 g for this shard's Hessian H at w, shape (d,).

        By Cholesky if forming and factorising H costs no more than `CG_CAP` products, otherwise by conjugate gradients
        to a relative residual of min(1/2, sqrt(||g||)).

        Parameters
        ----------
        gradient
            g; default the gradient of f_k at w.
        ridge
            Replaces the penalty's curvature in this Hessian.
        """
        g = self.gradient if gradient is None else gradient
        f = self.f
        factorise = f.d**3 / 3.0 + 2.0 * f.d**2
        if ridge is not None or f.matrix.gram_flops + factorise <= CG_CAP * 4.0 * f.matrix.nnz:
            hessian = self.hessian(ridge)
            singular = scipy.linalg.LinAlgError  # no penalty, few rows
            with suppress(singular), f.meter.working(factorise, 0.0, "factor"):
                factor = scipy.linalg.cho_factor(hessian, lower=True, overwrite_a=True, check_finite=False)
                direction: Vector = scipy.linalg.cho_solve(factor, g, check_finite=False)
                return direction
        tolerance = min(0.5, math.sqrt(float(np.linalg.norm(g))))
        return conjugate_gradient(self.hessian_product, g, tolerance, CG_CAP).x

    def effective_dimension(self) -> float:
        """Return tr(H0 (H0 + c I)^-1), with H0 the Hessian of the mean loss on this shard, c the penalty's curvature.

        Derezinski et al. 2020.
        """
        hessian = self.hessian(ridge=0.0)
        with self.f.meter.working(4.0 / 3.0 * self.f.d**3, 0.0, "spectrum"):
            spectrum = np.maximum(scipy.linalg.eigvalsh(hessian, check_finite=False), 0.0)
        seen = spectrum[spectrum > 0.0]
        return float(np.sum(seen / (seen + self.f.penalty.curvature)))

    def along(self, p: Vector) -> Ray:
        """Return f_k on the ray w - t p. One pass; its values then cost none."""
        return Ray(self, p)


class Ray:
    """f_k(w - t p) for many t: the margins along the ray are z - t q with q = X p."""

    def __init__(self, start: Point, p: Vector) -> None:
        f = start.f
        self._start = start  # owns the margins
        self._q = f.spare.take()
        with f.meter.working(2.0 * f.matrix.nnz, f.matrix.nnz, "margins"):
            f.matrix.margins(p, out=self._q)
        self._penalty = f.own_penalty.along(start.w[: f.penalised], p[: f.penalised])

    def values(self, steps: Vector) -> Vector:
        """Return f_k(w - t p) for each t in `steps`, shape (m,)."""
        f = self._start.f
        values = np.empty(len(steps))
        margins = self._start._pass[2]
        with f.meter.working(float(POINTWISE_FLOPS * f.n * len(steps)), 0.0, "losses"):
            ray_losses(f.loss.code, margins, self._q, f.y, steps, values)
        values /= f.divisor
        values += self._penalty(steps)
        return values

    def __del__(self) -> None:
        """Return the margins of the direction for reuse."""
        self._start.f.spare.give(self._q)
