"""The oracle of softmax regression and multi-layer perceptrons on one node's shard, every call metered.

    f_k(w) = (1/n_k) sum_{i in shard k} [ log(sum_c exp(z_ic)) - z_i,y_i ] + (l2/2) ||weights||^2

z_i are the outputs of `Layers` for row i; biases are not penalised. Without hidden layers f_k is convex. Rows go
through in blocks small enough that what lies between the layers stays in the cache; the first layer's products read
dense or sparse rows, the others are BLAS.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.fabric.meter import Meter
from hpcopt.kernels.pointwise import SQUARED
from hpcopt.kernels.softmax import cross_entropy
from hpcopt.problems.lanczos import largest_eigenvalue
from hpcopt.problems.layers import ACTIVATIONS, Columns, Layers
from hpcopt.problems.losses import ClassLoss
from hpcopt.problems.matrix import Matrix, Rows, Vector, vector
from hpcopt.problems.objective import GRAM_LIMIT, POINTWISE_FLOPS

BLOCK = 512  # rows
PIECE = 1e7  # operations of products of matrices in a millisecond
CURVATURE_BOUND = 0.5  # of the cross-entropy in the outputs: the largest eigenvalue of diag(p) - p p^T


class Perceptron:
    """The objective f_k on one node's shard, for first-order solvers; an `Oracle`.

    Parameters
    ----------
    matrix
        The shard's rows, n_k x features; no column of ones.
    y
        The rows' classes, shape (n_k,): 0, 1, ...
    loss
        "softmax" or "mlp" (class).
    layers
        The network's shape.
    l2
        Weight of (1/2)||weights||^2.
    total
        Rows of all shards together.
    meter
        Where work is reported.
    """

    def __init__(
        self,
        matrix: Matrix,
        y: Vector,
        loss: type[ClassLoss],
        layers: Layers,
        *,
        l2: float,
        total: int,
        meter: Meter,
    ) -> None:
        self.matrix = matrix
        self.y = vector("y", y, matrix.n).astype(np.int64)
        if matrix.n and not 0 <= self.y.min() <= self.y.max() < layers.widths[-1]:
            raise ValueError(f"y: classes between 0 and {layers.widths[-1] - 1}")
        self.loss = loss
        self.layers = layers
        self.l2 = l2
        self.total = total
        self.meter = meter
        self.n = matrix.n
        self.d = layers.size
        self.share = matrix.n / total
        self.penalised = layers.penalised
        self._last: NetworkPoint | None = None
        inner = sum(rows * columns for rows, columns in layers.shapes[1:])
        outputs = sum(layers.widths[1:])
        self._forward_flops = 2.0 * (matrix.nnz * layers.widths[1] + matrix.n * inner) + (
            POINTWISE_FLOPS * matrix.n * outputs
        )
        self._backward_flops = 2.0 * matrix.nnz * layers.widths[1] + 4.0 * matrix.n * inner + 2.0 * self.d
        self.piece = max(1, int(PIECE * matrix.n / (self._forward_flops + self._backward_flops)))

    def at(self, w: Vector) -> NetworkPoint:
        """Return f_k at `w`, shape (d,); asking again for the same `w` costs nothing."""
        if self._last is None or not np.array_equal(self._last.w, w):
            self._last = NetworkPoint(self, w)
        return self._last

    def gradient_of_rows(self, w: Vector, rows: NDArray[np.int64]) -> Vector:
        """Return the gradient at `w` of the mean loss over `rows` plus the regulariser, shape (d,)."""
        part = len(rows) / self.n
        with self.meter.working(part * (self._forward_flops + self._backward_flops), part * self.matrix.nnz):
            return self._mean_gradient(vector("w", w, self.d), rows)

    def sgd(self, w: Vector, rows: NDArray[np.int64], batch: int, step_sizes: Vector) -> Vector:
        """Return where minibatch gradient steps lead from `w`; see `Oracle.sgd`."""
        after = vector("w", w, self.d).copy()
        step_sizes = vector("step_sizes", step_sizes, -(-len(rows) // batch))
        part = len(rows) / self.n
        flops = part * (self._forward_flops + self._backward_flops) + 3.0 * self.d * len(step_sizes)
        with self.meter.working(flops, part * self.matrix.nnz):
            for j, step in enumerate(step_sizes):
                after -= step * self._mean_gradient(after, rows[j * batch : (j + 1) * batch])
        return after

    def values(self, models: NDArray[np.float64]) -> Vector:
        """Return f_k of each of `models`, shape (m, d), as (m,). One pass a model, and no gradients."""
        values = np.empty(len(models))
        for place, w in enumerate(models):
            with self.meter.working(self._forward_flops, self.matrix.nnz):
                losses = sum(
                    cross_entropy(outputs(self.matrix, self.layers, w, rows), self.y[rows]) for rows in blocks(self.n)
                )
            values[place] = losses / self.n + self._penalty(w)
        return values

    def smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of f_k, of softmax regression only.

        1/2 the largest eigenvalue of X'X / n_k, plus l2 (Boehning 1992); X has a column of ones where there are biases.
        """
        self._refuse_unbounded()
        matrix, meter, d = self.matrix, self.meter, self.matrix.d
        ones = np.ones(matrix.n)
        count = float(matrix.n * self.layers.biases)
        with meter.working(4.0 * matrix.nnz, matrix.nnz):  # X'1 as the gradient whose residuals are 1
            sums = matrix.loss_gradient(SQUARED, -ones, np.zeros(d))[1] * self.layers.biases
        if d <= GRAM_LIMIT:
            with meter.working(matrix.gram_flops + 4.0 / 3.0 * d**3, matrix.nnz):
                gram = np.block([[matrix.gram(ones), sums[:, None]], [sums, count]])
                largest = float(scipy.linalg.eigvalsh(gram, check_finite=False)[-1])
        else:

            def product(v: Vector) -> Vector:
                with meter.working(4.0 * matrix.nnz, matrix.nnz):
                    return np.append(matrix.hessian_product(ones, v[:d]) + v[d] * sums, sums @ v[:d] + count * v[d])

            largest = largest_eigenvalue(product, d + 1)
        return CURVATURE_BOUND * largest / self.n + self.l2

    def row_smoothness(self) -> float:
        """Return the same of the gradient of any one row's loss plus the regulariser.

        1/2 the largest squared norm of a row (and 1 for the biases), plus l2. One pass.
        """
        self._refuse_unbounded()
        with self.meter.working(2.0 * self.matrix.nnz, self.matrix.nnz):
            return CURVATURE_BOUND * (self.matrix.largest_row() + self.layers.biases) + self.l2

    def _refuse_unbounded(self) -> None:
        if not self.loss.bounded:
            raise InputError(f'step_size: loss "{self.loss.name}" knows no smoothness constant L; give a number')

    def _penalty(self, w: Vector) -> float:
        weights = w[: self.penalised]
        return 0.5 * self.l2 * float(weights @ weights)

    def _mean_gradient(self, w: Vector, rows: Rows) -> Vector:
        """Return the gradient of the mean loss over `rows` plus the regulariser, unmetered."""
        gradient = np.zeros(self.d)
        for first in range(0, len(rows), BLOCK):
            self._add_gradient(w, rows[first : first + BLOCK], gradient)
        gradient /= len(rows)
        gradient[: self.penalised] += self.l2 * w[: self.penalised]
        return gradient

    def _add_gradient(self, w: Vector, rows: Rows | slice, gradient: Vector) -> float:
        """Add the sum of the losses' gradients over `rows` to `gradient`, (d,), and return the sum of the losses."""
        layers = self.layers
        weights, weight_gradients = layers.weights(w), layers.weights(gradient)
        shift_gradients = layers.shifts(gradient)
        slope = ACTIVATIONS[layers.activation].slope
        after = _forward(self.matrix, layers, w, rows)
        delta = after.pop()
        losses = cross_entropy(delta, self.y[rows])
        for layer in range(len(weights) - 1, -1, -1):
            if shift_gradients:
                shift_gradients[layer] += delta.sum(axis=0)
            if layer == 0:
                self.matrix.add_transposed(delta, rows, weight_gradients[0])
                break
            below = after.pop()
            weight_gradients[layer] += below.T @ delta
            delta = delta @ weights[layer].T
            delta *= slope(below)
        return losses


class NetworkPoint:
    """f_k and its gradient at one w, from one pass when first asked for."""

    def __init__(self, f: Perceptron, w: Vector) -> None:
        self.f = f
        self.w = vector("w", w, f.d).copy()

    @cached_property
    def _pass(self) -> tuple[float, Vector]:
        """f_k and its gradient."""
        f = self.f
        gradient = np.zeros(f.d)
        with f.meter.working(f._forward_flops + f._backward_flops, f.matrix.nnz):
            losses = sum(f._add_gradient(self.w, rows, gradient) for rows in blocks(f.n))
            gradient /= f.n
            gradient[: f.penalised] += f.l2 * self.w[: f.penalised]
        return losses / f.n + f._penalty(self.w), gradient

    @property
    def value(self) -> float:
        """f_k(w)."""
        return self._pass[0]

    @property
    def gradient(self) -> Vector:
        """Gradient of f_k at w, shape (d,)."""
        return self._pass[1]


def blocks(n: int) -> Iterator[slice]:
    """Yield the rows 0 ... n - 1 in blocks."""
    for first in range(0, n, BLOCK):
        yield slice(first, min(first + BLOCK, n))


def outputs(matrix: Matrix, layers: Layers, w: Vector, rows: Rows | slice) -> Columns:
    """Return the outputs z of `rows` for the model `w`, shape (m, classes), a new array."""
    return _forward(matrix, layers, w, rows)[-1]


def predicted(matrix: Matrix, layers: Layers, w: Vector) -> NDArray[np.intp]:
    """Return the class with the largest output for each row, shape (n,)."""
    found = np.empty(matrix.n, dtype=np.intp)
    for rows in blocks(matrix.n):
        found[rows] = outputs(matrix, layers, w, rows).argmax(axis=1)
    return found


def _forward(matrix: Matrix, layers: Layers, w: Vector, rows: Rows | slice) -> list[Columns]:
    """Return a_1, ..., a_{L-1} and the outputs, each a new array (m, width)."""
    first, *others = layers.weights(w)
    shifts = layers.shifts(w)
    activate = ACTIVATIONS[layers.activation].apply
    found = [matrix.products(first, rows)]
    if shifts:
        found[0] += shifts[0]
    for layer, W in enumerate(others, start=1):
        found.append(activate(found[-1]) @ W)
        if shifts:
            found[-1] += shifts[layer]
    return found
