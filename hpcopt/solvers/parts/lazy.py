"""Lazy updates: a step changes only the coordinates where the mean gradient is not zero (`kernels.lazy`).

Its work is then proportional to the nonzero entries of all nodes' batches, and not to d.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpcopt.arrays import Columns, Places, Sparse, Vector
from hpcopt.fabric.interface import Node
from hpcopt.kernels import lazy
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.parts.batches import batch_rows

RARE = 4  # lazy updates pay if the batches of a step have fewer than d / RARE entries


class Lazy(Protocol):
    """A state with lazy updates."""

    w: Vector  # (d,), the starting point, not the model
    records: Columns  # (d, 2 or 4), the numbers of each coordinate
    steps: int


class LazyUpdates:
    """The model of a state with lazy updates, and its steps.

    Parameters
    ----------
    rule
        As for `kernels.adaptive.step`.
    f
        Its penalty has a `shrinkage`.
    s
        The state; `step` updates it in place.
    """

    def __init__(self, rule: int, f: Oracle, s: Lazy, step_size: float, delta: float) -> None:
        assert f.penalty.shrinkage is not None
        self._rule = rule
        self._s = s
        self._eta, self._delta = step_size, delta
        self._penalty = f.penalty.shrinkage, f.penalty.curvature, f.penalised

    def begin(self, v: Vector) -> None:
        """Begin at a start that is not zero, with `v`, shape (d,), as the sums of squares."""
        lazy.begin(self._rule, self._s.w, v, self._s.records, self._eta, self._delta)

    def at(self, places: Places) -> Vector:
        """Return the model at the coordinates `places`, shape (m,)."""
        s, out = self._s, np.empty(len(places))
        lazy.current(self._rule, places, s.w, s.records, self._eta, self._delta, s.steps, *self._penalty, out)
        return out

    def step(self, gradient: Sparse) -> None:
        """Make the next step with the mean gradient."""
        s, (places, g) = self._s, gradient
        s.steps += 1
        lazy.step(self._rule, places, g, s.w, s.records, self._eta, self._delta, s.steps, *self._penalty)


def sparse_batch_gradient(node: Node, f: Oracle, model: LazyUpdates, batch: int, step: int) -> Sparse:
    """Return the gradient at `model` of the mean loss over a batch, above 0, as by `batch_gradient`."""
    with node.slots.until(1 if f.n else 0):
        rows = batch_rows(node, f.n, batch, step) if batch < f.n else np.arange(f.n)
        gradient = f.sparse_gradient_of_rows(model.at, rows)
    node.slots.meet(node.world)
    return gradient
