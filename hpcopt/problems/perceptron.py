"""The oracle of softmax regression and multi-layer perceptrons on one node's shard, every call metered.

    f_k(w) = (1/n_k) sum_{i in shard k} l(z_i, y_i) + r(weights)

z_i are the outputs of `Layers` for row i, and l is, for example, the softmax cross-entropy; biases are not penalised.
Rows are processed in blocks small enough that the values between layers stay in the cache. The first layer's products
read dense or sparse rows; the others use BLAS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Columns, Rows, Vector
from hpcopt.errors import InputError
from hpcopt.fabric.meter import Meter
from hpcopt.kernels.pointwise import SQUARED
from hpcopt.problems.lanczos import largest_eigenvalue, largest_eigenvalue_of
from hpcopt.problems.layers import ACTIVATIONS, Layers
from hpcopt.problems.losses import OutputLoss
from hpcopt.problems.matrix import Matrix, vector
from hpcopt.problems.memory import recall, remembered
from hpcopt.problems.metric import Layout, Metric, measured
from hpcopt.problems.objective import GRAM_LIMIT, POINTWISE_FLOPS
from hpcopt.problems.oracle import SparseRows
from hpcopt.problems.penalties import Penalty
from hpcopt.problems.penalties.none import NoPenalty

BLOCK = 512  # rows
TOGETHER = 32  # models whose first layers are multiplied with a block of rows in one product
PIECE = 1e7  # operations per millisecond in matrix products


class Perceptron:
    """The objective f_k on one node's shard, for first-order solvers; an `Oracle`.

    Parameters
    ----------
    matrix
        The shard's rows, n_k x features; no column of ones.
    y
        The rows' targets, shape (n_k,), for example classes 0, 1, ...
    loss
        The loss of a row's outputs.
    layers
        The network's shape.
    penalty
        The penalty on the weights.
    total
        Number of rows of all shards.
    meter
        The meter that counts the work.
    entries
        Number of stored entries of all shards; default: as if all had as many per row as this one.
    """

    def __init__(
        self,
        matrix: Matrix,
        y: Vector,
        loss: OutputLoss,
        layers: Layers,
        penalty: Penalty,
        *,
        total: int,
        meter: Meter,
        entries: int | None = None,
    ) -> None:
        self.matrix = matrix
        self.y = loss.as_targets(vector("y", y, matrix.n), layers.widths[-1])
        self.loss = loss
        self.layers = layers
        self.penalty = penalty
        self.total = total
        self.meter = meter
        meter.storage, meter.nbytes = matrix.kind, matrix.nbytes
        self.n = matrix.n
        self.d = layers.size
        self.share = matrix.n / total
        self.divisor = max(matrix.n, 1)
        self.own_penalty = penalty if matrix.n else NoPenalty()  # f_k is 0 on a shard without rows
        self.penalised = layers.penalised
        self._last: NetworkPoint | None = None
        width, per_row = layers.widths[1], matrix.nnz / self.divisor if entries is None else entries / total
        self.coordinates_per_row = self.d + (per_row - layers.widths[0]) * width
        inner = sum(rows * columns for rows, columns in layers.shapes[1:])
        outputs = sum(layers.widths[1:])
        self._forward_flops = 2.0 * (matrix.nnz * layers.widths[1] + matrix.n * inner) + (
            POINTWISE_FLOPS * matrix.n * outputs
        )
        self._backward_flops = 2.0 * matrix.nnz * layers.widths[1] + 4.0 * matrix.n * inner + 2.0 * self.d
        self.piece = max(1, int(PIECE * matrix.n / (self._forward_flops + self._backward_flops)))

    def at(self, w: Vector) -> NetworkPoint:
        """Return f_k at `w`, shape (d,); a repeated call with the same `w` costs nothing."""
        if self._last is None or not np.array_equal(self._last.w, w):
            self._last = NetworkPoint(self, w)
        return self._last

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
        with self.meter.working(*self._gradient_work(len(rows)), kind="network"):
            return self._mean_gradient(vector("w", w, self.d), rows, loss_only=loss_only)

    def sparse_rows(self, rows: NDArray[np.int64]) -> SparseRows:
        """Return `rows` as a batch; see `Oracle.sparse_rows`."""
        with self.meter.working(0.0, 0.0, "restrict", self.matrix.nnz * len(rows) / self.divisor):
            columns, few = self.matrix.restricted(rows)
            coordinates, layers = self.layers.restricted(columns)
            targets = self.y[rows]

        def gradient(w: Vector) -> Vector:
            values = np.zeros(layers.size)
            with self.meter.working(*self._gradient_work(few.n), kind="network"):
                for block in blocks(few.n):
                    _add_gradient(few, layers, self.loss, w, block, targets[block], values)
                values /= max(few.n, 1)
            return values

        return SparseRows(coordinates, gradient)

    def _gradient_work(self, count: int) -> tuple[float, float]:
        """Return the operations for the gradient of `count` rows, and the number of entries read."""
        part = count / self.divisor
        return part * (self._forward_flops + self._backward_flops), part * self.matrix.nnz

    def sgd(self, w: Vector, rows: NDArray[np.int64], batch: int, step_sizes: Vector) -> Vector:
        """Return the result of minibatch gradient steps from `w`; see `Oracle.sgd`."""
        after = vector("w", w, self.d).copy()
        step_sizes = vector("step_sizes", step_sizes, -(-len(rows) // batch))
        part = len(rows) / self.divisor
        flops = part * (self._forward_flops + self._backward_flops) + 3.0 * self.d * len(step_sizes)
        with self.meter.working(flops, part * self.matrix.nnz, "network"):
            for j, step in enumerate(step_sizes):
                after -= step * self._mean_gradient(after, rows[j * batch : (j + 1) * batch])
        return after

    def values(self, models: NDArray[np.float64], penalties: Vector | None = None) -> Vector:
        """Return f_k of each of `models`, shape (m, d), as (m,); see `Oracle.values`."""
        if penalties is None or not self.n:
            penalties = np.array([self.own_penalty.value(w[: self.penalised]) for w in models])
        values = penalties.copy()
        features, width = self.layers.shapes[0]
        for first in range(0, len(models), TOGETHER):
            some = models[first : first + TOGETHER]
            weights = some[:, : features * width].reshape(len(some), features, width)
            stacked = weights.transpose(1, 0, 2).reshape(features, len(some) * width)
            with self.meter.working(self._forward_flops * len(some), self.matrix.nnz * len(some), "network"):
                for rows in blocks(self.n):
                    products = self.matrix.products(stacked, rows)
                    for place, w in enumerate(some):
                        own = products[:, place * width : (place + 1) * width].copy()
                        z = _onward(self.layers, w, own)[-1]
                        values[first + place] += self.loss.differentiate(z, self.y[rows]) / self.divisor
        return values

    def smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of f_k; only without hidden layers.

        The curvature bound of the loss times the largest eigenvalue of X'X / n_k, plus the penalty's curvature; with
        biases, X has a column of ones.
        """
        bound = self._curvature_bound()
        matrix, meter, d = self.matrix, self.meter, self.matrix.d
        ones = np.ones(matrix.n)
        count = float(matrix.n * self.layers.biases)
        with meter.working(4.0 * matrix.nnz, matrix.nnz, "gradient"):  # X'1 as the gradient whose residuals are 1
            sums = matrix.loss_gradient(SQUARED, -ones, np.zeros(d))[1] * self.layers.biases
        if d <= GRAM_LIMIT:
            with meter.working(matrix.gram_flops + 4.0 / 3.0 * d**3, matrix.nnz, "spectrum"):
                gram = np.block([[matrix.gram(ones), sums[:, None]], [sums, count]])
                largest = largest_eigenvalue_of(gram)
        else:

            def product(v: Vector) -> Vector:
                with meter.working(4.0 * matrix.nnz, matrix.nnz, "product"):
                    return np.append(matrix.hessian_product(ones, v[:d]) + v[d] * sums, sums @ v[:d] + count * v[d])

            largest = largest_eigenvalue(product, d + 1)
        return bound * largest / self.divisor + self.own_penalty.curvature

    def row_smoothness(self) -> float:
        """Return the same bound for the gradient of any one row's loss plus the penalty.

        The curvature bound of the loss times the largest squared norm of a row (and 1 for the biases), plus the
        penalty's curvature. One pass.
        """
        bound = self._curvature_bound()
        with self.meter.working(2.0 * self.matrix.nnz, self.matrix.nnz, "margins"):
            ones = self.layers.biases and self.n > 0
            return bound * (self.matrix.largest_row() + ones) + self.own_penalty.curvature

    def metric(self, mean: Callable[[Vector], Vector], *, correlated: int = 0, loss_only: bool = False) -> Metric:
        """Return a bound on the Hessian of f, for preconditioners and norms of gradients; see `Oracle.metric`."""
        features, outputs = self.layers.shapes[0]
        with self.meter.working(3.0 * self.matrix.nnz, self.matrix.nnz, "product"):
            return measured(
                self.matrix,
                mean,
                Layout(features, outputs, shift=self.penalised, intercept=self.layers.biases, size=self.d),
                curvature=self.loss.curvature_bound or 1.0,
                ridge=np.full(features, 0.0 if loss_only else self.penalty.curvature),
                correlated=correlated,
            )

    @property
    def bounded(self) -> bool:
        """Whether a Lipschitz constant of the gradient is known."""
        return self.loss.bounded and not self.layers.hidden

    def _curvature_bound(self) -> float:
        if not self.bounded or self.loss.curvature_bound is None:
            raise InputError("step_size: a model with hidden layers has no known smoothness constant L; give a number")
        return self.loss.curvature_bound

    def _mean_gradient(self, w: Vector, rows: Rows, *, loss_only: bool = False) -> Vector:
        """Return the gradient of the mean loss over `rows` plus, unless `loss_only`, the penalty; unmetered."""
        gradient = np.zeros(self.d)
        for first in range(0, len(rows), BLOCK):
            self._add_gradient(w, rows[first : first + BLOCK], gradient)
        gradient /= max(len(rows), 1)
        if not loss_only:
            self.own_penalty.add_gradient(w[: self.penalised], gradient[: self.penalised])
        return gradient

    def _add_gradient(self, w: Vector, rows: Rows | slice, gradient: Vector) -> float:
        """Add the sum of the losses' gradients over `rows` to `gradient`, (d,), and return the sum of the losses."""
        return _add_gradient(self.matrix, self.layers, self.loss, w, rows, self.y[rows], gradient)


class NetworkPoint:
    """f_k and its gradient at one w, computed in one pass at first use."""

    def __init__(self, f: Perceptron, w: Vector) -> None:
        self.f = f
        self.w = vector("w", w, f.d).copy()

    @cached_property
    def _pass(self) -> tuple[float, Vector]:
        """f_k and the gradient of the mean loss."""
        f = self.f
        gradient = np.zeros(f.d)
        with f.meter.working(f._forward_flops + f._backward_flops, f.matrix.nnz, "network"):
            losses = sum(f._add_gradient(self.w, rows, gradient) for rows in blocks(f.n))
            gradient /= f.divisor
        return losses / f.divisor + f.own_penalty.value(self.w[: f.penalised]), gradient

    @property
    def value(self) -> float:
        """f_k(w)."""
        return self._pass[0]

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


def blocks(n: int) -> Iterator[slice]:
    """Yield the rows 0 ... n - 1 in blocks."""
    for first in range(0, n, BLOCK):
        yield slice(first, min(first + BLOCK, n))


def outputs(matrix: Matrix, layers: Layers, w: Vector, rows: Rows | slice) -> Columns:
    """Return the outputs z of `rows` for the model `w`, shape (m, classes), a new array."""
    return _forward(matrix, layers, w, rows)[-1]


def _add_gradient(
    matrix: Matrix, layers: Layers, loss: OutputLoss, w: Vector, rows: Rows | slice, y: NDArray[Any], gradient: Vector
) -> float:
    """Add the sum of the losses' gradients over `rows` to `gradient`, (d,), and return the sum of the losses.

    `y` are the targets of these rows.
    """
    weights, weight_gradients = layers.weights(w), layers.weights(gradient)
    shift_gradients = layers.shifts(gradient)
    slope = ACTIVATIONS[layers.activation].slope
    after = _forward(matrix, layers, w, rows)
    delta = after.pop()
    losses = loss.differentiate(delta, y)
    for layer in range(len(weights) - 1, -1, -1):
        if shift_gradients:
            shift_gradients[layer] += delta.sum(axis=0)
        if layer == 0:
            matrix.add_transposed(delta, rows, weight_gradients[0])
            break
        below = after.pop()
        weight_gradients[layer] += below.T @ delta
        delta = delta @ weights[layer].T
        delta *= slope(below)
    return losses


def _forward(matrix: Matrix, layers: Layers, w: Vector, rows: Rows | slice) -> list[Columns]:
    """Return a_1, ..., a_{L-1} and the outputs, each a new array (m, width)."""
    return _onward(layers, w, matrix.products(layers.weights(w)[0], rows))


def _onward(layers: Layers, w: Vector, products: Columns) -> list[Columns]:
    """Return the same, given the products X W_1, which become the first of these arrays."""
    others = layers.weights(w)[1:] if layers.hidden else []
    shifts = layers.shifts(w)
    activate = ACTIVATIONS[layers.activation].apply
    found = [products]
    if shifts:
        found[0] += shifts[0]
    for layer, W in enumerate(others, start=1):
        found.append(activate(found[-1]) @ W)
        if shifts:
            found[-1] += shifts[layer]
    return found
