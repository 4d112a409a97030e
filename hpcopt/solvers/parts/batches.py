"""The rows of a step: drawn without replacement, keyed by (seed, node, step)."""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Rows
from hpcopt.capacity import DOUBLE, ask
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw


def batch_rows(node: Node, n: int, size: int, step: int) -> Rows:
    """Return `size` distinct rows out of 0 ... n - 1 of this node's shard for its `step`-th step."""
    return node.draws(Draw.BATCH, step).choice(n, size=size, replace=False)


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
