"""Independent streams of random numbers, one a node, keyed by the seed and the node's rank."""

from __future__ import annotations

import numpy as np


def stream(seed: int, rank: int) -> np.random.Generator:
    """Return node `rank`'s stream: the same on every cluster, independent of all other ranks' streams."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(rank,))))
