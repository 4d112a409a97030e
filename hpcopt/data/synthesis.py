"""Generated data: each process generates only its rows; the rows do not depend on the number of processes.

Rows come in blocks, each from its own random stream. With spectrum s_j, log-spaced from 1 down to 1/condition:

    rotated      X_b = sqrt(b) Q_b diag(sqrt(s)) V, Q_b: b x d, orthonormal columns; V: d x d orthogonal, all blocks'
    independent  x_ij = sqrt(s_j) times a standard normal
    sparse       x_ij = sqrt(s_j / density) times a standard normal with probability `density`, else 0
    blobs        the last two with m_cj + noise * (a standard normal) for the standard normal, times a number with which
                 E ||x||^2 = 4, given the class means m ~ N(0, I); row i, counted from 0, is of class c = i mod 10

For rotated rows, if there are at least as many as features, the eigenvalues of X'X / n (the Hessian of the mean squared
loss) are s up to roundoff, also for every single block. Otherwise these are the eigenvalues of E[x x'].
Targets of blobs are the classes; others are computed from a vector w (drawn as described in `recipe`) and errors e:

    least-squares   y = x.w + noise * e          e standard normal
    relu            y = max(x.w, 0) + noise * e  e standard normal
    logistic        y = sign(x.w + noise * e)    e standard logistic, so that P(y = 1) = sigmoid(x.w / noise)

With heterogeneity h, each of K nodes has its own vector, w_k = w + h * (a standard normal, in the units of w), for the
rows that the contiguous partition assigns to it. Neither K nor h changes the features, w, or the errors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.capacity import DOUBLE, ask, ask_for_model
from hpcopt.data.partition import equal_sizes
from hpcopt.data.recipe import Recipe
from hpcopt.data.streams import Purpose, stream
from hpcopt.data.table import Features, Part, Table, contiguous, csr
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group

__all__ = ["Recipe", "generate"]  # used by other packages


BLOBS = 10  # classes
BLOBS_MOMENT = 4.0  # mean squared norm of the rows of blobs


def generate(recipe: Recipe, group: Group, nodes: int = 1) -> Part:
    """Return this process's rows: consecutive whole blocks.

    Parameters
    ----------
    nodes
        Number of nodes for the rows, between which heterogeneity makes a difference.

    Raises
    ------
    AgreedError
        On all processes, if there is not enough memory for them.
    """
    with agreed(group):
        _ask(recipe, group)
    truth = _Truth(recipe, nodes)
    first, last = contiguous(recipe.blocks, group.rank, group.size)
    tables = [_block(recipe, truth, block) for block in range(first, last)]
    start, stop = contiguous(recipe.rows, first, recipe.blocks)[0], contiguous(recipe.rows, last, recipe.blocks)[0]
    return Part(_stacked(tables, recipe), np.arange(start, stop), recipe.rows)


def _ask(recipe: Recipe, group: Group) -> None:
    """Raise an error if the rows do not fit into memory, before any is generated."""
    d = recipe.features
    ask_for_model(d, f"data.features: {d}")
    own = -(-recipe.rows // group.size)  # approximately
    numbers = int(own * d * recipe.density) * (1 if recipe.density == 1 else 2) + own
    numbers += 2 * d * d if recipe.rotated else 0  # the basis, and the matrix from which it is computed
    ask(DOUBLE * numbers, f"data.rows, data.features: {recipe.rows} x {d}")


class _Truth:
    """Shared by all blocks: the directions V of the spectrum (rotated rows), and the true w, common and per node."""

    def __init__(self, recipe: Recipe, nodes: int) -> None:
        rng = stream(recipe.seed, Purpose.GENERATED_TRUTH)
        d = recipe.features
        w = rng.standard_normal(d)
        root = np.sqrt(recipe.spectrum)
        directions = np.linalg.qr(rng.standard_normal((d, d)))[0] if recipe.rotated else None
        self.scales = root if directions is None else root[:, None] * directions  # (d,) or (d, d)
        along = w if directions is None else directions @ w
        shift, self._unit = {
            "unit": (0.0, float(np.linalg.norm(root * along))),
            "normal": (0.0, 1.0),
            "shifted": (1.0, math.sqrt(d / 2.0)),
            "blobs": (0.0, 1.0),
        }[recipe.design]
        self._w = (w + shift) / self._unit
        self._recipe = recipe
        self._ends = np.cumsum(equal_sizes(recipe.rows, nodes))  # ends of the nodes' rows
        self.means: NDArray[np.float64] | None = None  # of the classes, (classes, d), before scaling
        if recipe.design == "blobs":
            self.means = rng.standard_normal((BLOBS, d))
            moment = (self.means**2).mean(axis=0) + recipe.noise**2
            self.scales *= math.sqrt(BLOBS_MOMENT / float(moment @ recipe.spectrum))

    def signal(self, X: Features, start: int) -> Vector:
        """Return x.w for the rows `X`, numbered from `start` on, (n,), each with the w of its node."""
        if self._recipe.heterogeneity == 0:
            signal: Vector = X @ self._w
            return signal
        n = X.shape[0]
        first, last = np.searchsorted(self._ends, (start, start + n - 1), side="right")
        cuts = [0, *(self._ends[first:last] - start), n]
        return np.concatenate([X[cuts[i] : cuts[i + 1]] @ self._of(first + i) for i in range(last - first + 1)])

    def _of(self, node: int) -> Vector:
        """Return a node's own w, (d,)."""
        own = stream(self._recipe.seed, Purpose.GENERATED_NODE, node).standard_normal(len(self._w))
        return self._w + self._recipe.heterogeneity * own / self._unit


def _block(recipe: Recipe, truth: _Truth, block: int) -> Table:
    """Generate one block, features and targets."""
    start, stop = contiguous(recipe.rows, block, recipe.blocks)
    rng = stream(recipe.seed, Purpose.GENERATED_ROWS, block)
    made = _dense if recipe.density == 1 else _sparse
    if truth.means is not None:
        classes = np.arange(start, stop) % BLOBS
        return Table(made(rng, stop - start, recipe, truth, truth.means[classes]), classes.astype(np.float64))
    X = made(rng, stop - start, recipe, truth)
    signal = truth.signal(X, start)
    if recipe.targets == "logistic":
        return Table(X, np.where(signal + recipe.noise * rng.logistic(size=stop - start) > 0, 1.0, -1.0))
    if recipe.targets == "relu":
        signal = np.maximum(signal, 0.0)
    return Table(X, signal + recipe.noise * rng.standard_normal(stop - start))


def _dense(
    rng: np.random.Generator, n: int, recipe: Recipe, truth: _Truth, means: NDArray[np.float64] | None = None
) -> Features:
    """Return n dense rows; if rotated, their second moment is exact for at least as many rows as features.

    For blobs the rows are noise around `means`, (n, d).
    """
    X: NDArray[Any] = rng.standard_normal((n, recipe.features))
    if means is not None:
        X = means + recipe.noise * X
    if not recipe.rotated:
        return X * truth.scales
    if n >= recipe.features:
        X = math.sqrt(n) * np.linalg.qr(X)[0]
    return X @ truth.scales


def _sparse(
    rng: np.random.Generator, n: int, recipe: Recipe, truth: _Truth, means: NDArray[np.float64] | None = None
) -> Features:
    """Return n CSR rows: the gaps between the entries of the flattened block are geometric; `means` as for dense."""
    d = recipe.features
    expected = n * d * recipe.density
    cells = np.zeros(0, dtype=np.int64)
    last = -1
    while last < n * d:
        more = last + np.cumsum(rng.geometric(recipe.density, size=int(1.1 * expected) + 16))
        cells, last = np.concatenate([cells, more]), int(more[-1])
    rows, columns = np.divmod(cells[cells < n * d], d)
    values = rng.standard_normal(len(columns))
    if means is not None:
        values = means[rows, columns] + recipe.noise * values
    values = values * truth.scales[columns] / math.sqrt(recipe.density)
    return csr([values], [columns], [np.bincount(rows, minlength=n)], d)


def _stacked(tables: list[Table], recipe: Recipe) -> Table:
    """Concatenate blocks; a process may have none."""
    d = recipe.features
    y = np.concatenate([np.zeros(0), *(table.targets for table in tables)])
    if recipe.density == 1:
        return Table(np.concatenate([np.zeros((0, d)), *(table.X for table in tables)]), y)
    none = np.zeros(0, dtype=np.int64)
    return Table(
        csr(
            [np.zeros(0), *(table.X.data for table in tables)],
            [none, *(table.X.indices for table in tables)],
            [none, *(np.diff(table.X.indptr) for table in tables)],
            d,
        ),
        y,
    )
