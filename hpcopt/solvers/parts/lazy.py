"""Lazy updates: a step changes only the coordinates where the mean gradient is not zero (`kernels.lazy`).

Its work is then proportional to the nonzero entries of all nodes' batches, and not to d.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpcopt.arrays import Columns, Places, Sparse, Vector
from hpcopt.fabric.interface import Node
from hpcopt.kernels import lazy
from hpcopt.problems.oracle import Oracle, SparseRows
from hpcopt.solvers.parts.batches import batch_rows

RARE = 4  # lazy updates pay if the batches of a step have fewer than d / RARE entries


class Lazy(Protocol):
    """A state with lazy updates."""

    w: Vector  # (d,), the starting point, not the model
    records: Columns  # (m, 2 or 4), the numbers of each of this node's coordinates
    steps: int


class LazyUpdates:
    """The model of a state at some of the coordinates, and its steps there.

    Parameters
    ----------
    rule
        As for `kernels.adaptive.step`.
    f
        Its penalty has a `shrinkage`.
    s
        The state; `step` updates it in place.
    own
        The coordinates: all, or every K-th one; in the methods they are numbered from 0 on.
    """

    def __init__(self, rule: int, f: Oracle, s: Lazy, step_size: float, delta: float, own: slice = slice(None)) -> None:
        assert f.penalty.shrinkage is not None
        self._rule = rule
        self._s = s
        self._start = np.ascontiguousarray(s.w[own])
        self._own = own
        self._eta, self._delta = step_size, delta
        penalised = len(range(*own.indices(f.penalised)))
        self._penalty = f.penalty.shrinkage, f.penalty.curvature, penalised

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return len(self._start)

    def begin(self, v: Vector) -> None:
        """Begin at a start that is not zero, with `v` as the sums of squares of all coordinates, shape (d,)."""
        lazy.begin(self._rule, self._start, v[self._own], self._s.records, self._eta, self._delta)

    def at(self, places: Places) -> Vector:
        """Return the model at the coordinates `places`, shape (m,)."""
        s, out = self._s, np.empty(len(places))
        lazy.current(self._rule, places, self._start, s.records, self._eta, self._delta, s.steps, *self._penalty, out)
        return out

    def step(self, gradient: Sparse) -> None:
        """Make the next step with the mean gradient."""
        s, (places, g) = self._s, gradient
        s.steps += 1
        lazy.step(self._rule, places, g, self._start, s.records, self._eta, self._delta, s.steps, *self._penalty)


def sparse_batch(node: Node, f: Oracle, batch: int, step: int) -> SparseRows:
    """Return the rows of a batch as by `batch_gradient`."""
    return f.sparse_rows(batch_rows(node, f.n, batch, step) if 0 < batch < f.n else np.arange(f.n))


def sparse_gradient(node: Node, f: Oracle, rows: SparseRows, w: Vector) -> Sparse:
    """Return the gradient of the mean loss over `rows`, given the model at their coordinates; as `batch_gradient`."""
    with node.slots.until(1 if f.n else 0):
        gradient = rows.gradient(w)
    node.slots.meet(node.world)
    return rows.coordinates, gradient
