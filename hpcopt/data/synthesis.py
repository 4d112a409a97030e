"""Generated data with a chosen condition number: each process makes only its rows, the same for any number of them.

Rows come in blocks, each from its own random stream. With spectrum s_j, log-spaced from 1 down to 1/condition:

    dense    X_b = sqrt(b) Q_b diag(sqrt(s)) V    Q_b: b x d, orthonormal columns; V: d x d orthogonal, all blocks'
    sparse   x_ij = sqrt(s_j / density) times a standard normal where a coin of probability `density` says so, else 0

What is guaranteed: with density 1 and at least as many rows as features, the eigenvalues of X'X / n (the Hessian of
the mean squared loss) are s up to rounding, and so are those of every single block. Otherwise E[x x'] has them.
Targets come from one vector w with E[(x.w)^2] = 1 and errors e of the chosen size:

    least-squares   y = x.w + noise * e        e standard normal
    logistic        y = sign(x.w + noise * e)  e standard logistic, so that P(y = 1) = sigmoid(x.w / noise)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.streams import Purpose, stream
from hpcopt.data.table import Features, Part, Table, contiguous, csr
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Group

BLOCK_ROWS = 1024  # at least this many rows a block (where there are so many), and twice the features if dense


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to generate.

    Parameters
    ----------
    targets
        "logistic" (-1/+1) or "least-squares" (real).
    rows, features
        Shape of the data, each at least 1.
    density
        Fraction of entries that are stored, in (0, 1]; 1 gives dense rows, less gives CSR.
    condition
        Largest over smallest eigenvalue of the second moment of the rows, at least 1.
    noise
        Size of the errors, at least 0.
    seed
        Of everything random here.

    Raises
    ------
    InputError
        For a value out of range, with the key of the specification.
    """

    targets: str
    rows: int = 1000
    features: int = 20
    density: float = 1.0
    condition: float = 10.0
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for key, given, good, right in (
            ("rows", self.rows, self.rows >= 1, "at least 1"),
            ("features", self.features, self.features >= 1, "at least 1"),
            ("density", self.density, 0 < self.density <= 1, "above 0 and at most 1"),
            ("condition", self.condition, 1 <= self.condition < math.inf, "at least 1"),
            ("noise", self.noise, 0 <= self.noise < math.inf, "at least 0"),
        ):
            if not good:
                raise InputError(f"data.{key}: {right}, got {given}")

    @property
    def spectrum(self) -> NDArray[np.float64]:
        """Eigenvalues of the second moment, (features,), from 1 down to 1/condition."""
        return np.geomspace(1.0, 1.0 / self.condition, self.features)

    @property
    def blocks(self) -> int:
        """Number of blocks: none smaller than it has features (if dense), unless there is only one."""
        smallest = BLOCK_ROWS if self.density < 1 else max(BLOCK_ROWS, 2 * self.features)
        return max(1, self.rows // smallest)


def generate(recipe: Recipe, group: Group) -> Part:
    """Return this process's rows: a run of whole blocks."""
    truth = _Truth(recipe)
    first, last = contiguous(recipe.blocks, group.rank, group.size)
    tables = [_block(recipe, truth, block) for block in range(first, last)]
    start, stop = contiguous(recipe.rows, first, recipe.blocks)[0], contiguous(recipe.rows, last, recipe.blocks)[0]
    return Part(_stacked(tables, recipe), np.arange(start, stop), recipe.rows)


class _Truth:
    """What all blocks share: the directions V of the spectrum (dense rows) and the true w."""

    def __init__(self, recipe: Recipe) -> None:
        rng = stream(recipe.seed, Purpose.GENERATED_TRUTH)
        d = recipe.features
        w = rng.standard_normal(d)
        root = np.sqrt(recipe.spectrum)
        self.directions = np.linalg.qr(rng.standard_normal((d, d)))[0] if recipe.density == 1 else None
        along = w if self.directions is None else self.directions @ w
        self.w = w / np.linalg.norm(root * along)
        self.scales = root if self.directions is None else root[:, None] * self.directions  # (d,) or (d, d)


def _block(recipe: Recipe, truth: _Truth, block: int) -> Table:
    """Make the rows of one block, features and targets."""
    start, stop = contiguous(recipe.rows, block, recipe.blocks)
    rng = stream(recipe.seed, Purpose.GENERATED_ROWS, block)
    X = _dense(rng, stop - start, truth) if recipe.density == 1 else _sparse(rng, stop - start, recipe, truth)
    signal = X @ truth.w
    if recipe.targets == "least-squares":
        return Table(X, signal + recipe.noise * rng.standard_normal(stop - start))
    return Table(X, np.where(signal + recipe.noise * rng.logistic(size=stop - start) > 0, 1.0, -1.0))


def _dense(rng: np.random.Generator, n: int, truth: _Truth) -> Features:
    """Return n dense rows whose second moment is exact where there are at least as many as features."""
    X: NDArray[Any] = rng.standard_normal((n, len(truth.w)))
    if n >= len(truth.w):
        X = math.sqrt(n) * np.linalg.qr(X)[0]
    return X @ truth.scales


def _sparse(rng: np.random.Generator, n: int, recipe: Recipe, truth: _Truth) -> Features:
    """Return n CSR rows: the gaps between the entries of the flattened block are geometric."""
    d = recipe.features
    expected = n * d * recipe.density
    cells = np.zeros(0, dtype=np.int64)
    last = -1
    while last < n * d:
        more = last + np.cumsum(rng.geometric(recipe.density, size=int(1.1 * expected) + 16))
        cells, last = np.concatenate([cells, more]), int(more[-1])
    rows, columns = np.divmod(cells[cells < n * d], d)
    values = rng.standard_normal(len(columns)) * truth.scales[columns] / math.sqrt(recipe.density)
    return csr([values], [columns], [np.bincount(rows, minlength=n)], d)


def _stacked(tables: list[Table], recipe: Recipe) -> Table:
    """Put blocks one below the other; a process may have none."""
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
