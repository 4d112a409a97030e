"""The rows of a step: drawn without replacement, keyed by (seed, node, step), and the gradient of their mean loss."""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Rows, Vector
from hpcopt.capacity import DOUBLE, ask
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle


def batch_rows(node: Node, n: int, size: int, step: int) -> Rows:
    """Return `size` distinct rows out of 0 ... n - 1 of this node's shard for its `step`-th step."""
    return node.draws(Draw.BATCH, step).choice(n, size=size, replace=False)


def batch_gradient(node: Node, f: Oracle, w: Vector, batch: int, step: int, *, loss_only: bool = False) -> Vector:
    """Return the gradient at `w` of f_k over a batch of this node's shard, shape (d,).

    The nodes meet when all have computed theirs; for nodes with operating rates this is a step in their time slots.

    Parameters
    ----------
    batch
        Rows; 0 = all.
    step
        Selects the rows.
    loss_only
        Whether to leave out the penalty.
    """
    with node.slots.until(1 if f.n else 0):
        if 0 < batch < f.n:
            gradient = f.gradient_of_rows(w, batch_rows(node, f.n, batch, step), loss_only=loss_only)
        else:
            gradient = f.at(w).loss_gradient if loss_only else f.at(w).gradient
    node.slots.meet(node.world)
    return gradient


def shuffled_rows(rng: np.random.Generator, n: int, count: int) -> Rows:
    """Return `count` row indices: permutations of all n rows, one after another.

    Raises
    ------
    InputError
        If they need more memory than is free.
    """
    ask(2 * count * DOUBLE, f"the rows of a round, {count:,} of them,")
    epochs = [rng.permutation(n) for _ in range(-(-count // n))]
    return np.concatenate(epochs)[:count]
