"""What a first-order solver may ask of the objective f_k on a node's shard, whatever the model behind it is.

`Objective` (losses of one margin) and `Perceptron` (several outputs) both answer; the former tells second derivatives,
too, and the solvers that need those say so (`Needs.hessian`). Nothing here is about rows of features: an oracle
need not have any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.metric import Metric
from hpcopt.problems.penalties import Penalty


class FirstOrder(Protocol):
    """f_k and its gradient at one point; asked for both, one pass over the shard."""

    @property
    def value(self) -> float:
        """f_k there."""

    @property
    def gradient(self) -> Vector:
        """Gradient of f_k there, shape (d,)."""


class Oracle(Protocol):
    """f_k(w) = mean loss of the shard's rows + penalty of the leading coordinates of w, every call metered.

    On a shard without rows f_k is 0, as are its share, its gradient and its smoothness.

    Attributes
    ----------
    penalty
        Its value is a part of f_k's, its smooth part one of all derivatives.
    n
        Rows of the shard.
    d
        Number of coordinates of a model, a float64 vector.
    share
        n_k / n: the weight of this shard in f; the shares of all nodes sum to one.
    penalised
        On how many leading coordinates the penalty acts.
    piece
        Rows, at least 1, whose gradient takes about a millisecond on a core of today.
    """

    penalty: Penalty
    meter: Meter
    n: int
    d: int
    share: float
    penalised: int
    piece: int

    def at(self, w: Vector) -> FirstOrder:
        """Return f_k at `w`, shape (d,); asking again for the same `w` costs nothing."""

    def remembered(self) -> dict[str, Any]:
        """Return as plain data which point it was asked for last, and what is known there: a part of a checkpoint."""

    def recall(self, memory: dict[str, Any]) -> None:
        """Know what `remembered` returned, on the same shard; no work is charged."""

    def gradient_of_rows(self, w: Vector, rows: NDArray[np.int64]) -> Vector:
        """Return the gradient at `w` of the mean loss over `rows` plus the penalty, shape (d,)."""

    def sgd(self, w: Vector, rows: NDArray[np.int64], batch: int, step_sizes: Vector) -> Vector:
        """Return where minibatch gradient steps lead from `w`.

        Parameters
        ----------
        rows
            Rows in the order of their use; consecutive `batch` of them make a step (the last may hold fewer).
        step_sizes
            One for each step, shape (ceil(len(rows) / batch),).
        """

    def values(self, models: NDArray[np.float64]) -> Vector:
        """Return f_k of each of `models`, shape (m, d), as (m,). One pass a model, and no gradients."""

    def smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of f_k."""

    def row_smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of any one row's loss plus the penalty."""

    def metric(self, mean: Callable[[Vector], Vector], *, full: bool = False) -> Metric:
        """Return the norm for gradients of f that does not depend on the features' units; every node calls it.

        Parameters
        ----------
        mean
            Returns the mean of a vector over the rows of all shards, given this shard's mean.
        full
            Whether to see the features' correlations, too, where there are few of them.
        """
