"""The interface of the objective f_k on a node's shard for first-order solvers, for all models.

`Objective` (losses of one margin) and `Perceptron` (several outputs) implement it; the former also has second
derivatives, and solvers that need these declare it (`Needs.hessian`). The interface does not assume rows of features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Places, Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.metric import Metric
from hpcopt.problems.penalties import Penalty


class FirstOrder(Protocol):
    """f_k and its gradient at one point; both together cost one pass over the shard."""

    @property
    def value(self) -> float:
        """f_k there."""

    @property
    def gradient(self) -> Vector:
        """Gradient of f_k there, shape (d,); of a penalty that is not smooth, of its smooth part."""

    @property
    def loss_gradient(self) -> Vector:
        """Gradient of the mean loss alone there, shape (d,); from the same pass."""


@dataclass(frozen=True)
class SparseRows:
    """A few rows of a shard.

    Attributes
    ----------
    coordinates
        Those in which the gradient of the rows' losses can be nonzero: sorted, each once, shape (m,); all coordinates
        if the rows are dense.
    gradient
        Returns the gradient of the mean loss over the rows, without the penalty, at the coordinates, shape (m,), given
        the model there, shape (m,).
    """

    coordinates: Places
    gradient: Callable[[Vector], Vector]


class Oracle(Protocol):
    """f_k(w) = mean loss of the shard's rows + penalty on the leading coordinates of w; every call is metered.

    On a shard without rows f_k is 0, as are its share, its gradient and its smoothness.

    Attributes
    ----------
    penalty
        The penalty: f_k includes its value, and all derivatives include its smooth part.
    n
        Number of rows of the shard.
    d
        Number of coordinates of a model, a float64 vector.
    share
        n_k / n: the weight of this shard in f; the shares of all nodes sum to one.
    penalised
        Number of leading coordinates that the penalty acts on.
    coordinates_per_row
        Number of coordinates in which the gradient of a row's loss can be nonzero, the mean over all shards.
    piece
        Number of rows, at least 1, whose gradient takes about a millisecond on a current core.
    """

    penalty: Penalty
    meter: Meter
    n: int
    d: int
    share: float
    penalised: int
    coordinates_per_row: float
    piece: int

    def at(self, w: Vector) -> FirstOrder:
        """Return f_k at `w`, shape (d,); a repeated call with the same `w` costs nothing."""

    def remembered(self) -> dict[str, Any]:
        """Return, as plain data for a checkpoint, the last point and the names of its cached values."""

    def recall(self, memory: dict[str, Any]) -> None:
        """Restore what `remembered` returned, on the same shard; no work is charged."""

    def gradient_of_rows(self, w: Vector, rows: NDArray[np.int64], *, loss_only: bool = False) -> Vector:
        """Return the gradient at `w` of the mean loss over `rows` plus the penalty's smooth part, shape (d,).

        Parameters
        ----------
        loss_only
            Whether to leave out the penalty: a solver that takes proximal steps has all of it in them.
        """

    def sparse_rows(self, rows: NDArray[np.int64]) -> SparseRows:
        """Return `rows` as a batch whose gradient takes work that depends on the rows' entries and not on d."""

    def sgd(self, w: Vector, rows: NDArray[np.int64], batch: int, step_sizes: Vector) -> Vector:
        """Return the result of minibatch gradient steps from `w`.

        Parameters
        ----------
        rows
            Rows in the order of their use, cut into consecutive batches of `batch` rows; the last may be shorter.
        step_sizes
            One for each step, shape (ceil(len(rows) / batch),).
        """

    def values(self, models: NDArray[np.float64], penalties: Vector | None = None) -> Vector:
        """Return f_k of each of `models`, shape (m, d), as (m,). One pass per model, without gradients.

        Parameters
        ----------
        penalties
            The penalty's value at each of them, shape (m,), if it is known.
        """

    def smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of f_k."""

    def row_smoothness(self) -> float:
        """Return a bound on the Lipschitz constant of the gradient of any one row's loss plus the penalty."""

    def metric(self, mean: Callable[[Vector], Vector], *, correlated: int = 0, loss_only: bool = False) -> Metric:
        """Return a bound on the Hessian of f, for preconditioners and norms of gradients in any units; collective.

        Parameters
        ----------
        mean
            Returns the mean of a vector over the rows of all shards, given this shard's mean.
        correlated
            Most features for which their correlations are taken into account as well.
        loss_only
            Whether to leave out the penalty.
        """
