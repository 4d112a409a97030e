"""Random streams for the data: one for each purpose, all from one seed, the same on every process."""

from __future__ import annotations

import enum

import numpy as np


class Purpose(enum.IntEnum):
    """The purposes of streams; streams for different purposes are independent."""

    PARTITION = 1
    TEST_SPLIT = 2
    GENERATED_ROWS = 3
    GENERATED_TRUTH = 4
    GENERATED_NODE = 5


def stream(seed: int, purpose: Purpose, block: int = 0) -> np.random.Generator:
    """Return the generator keyed by (seed, purpose, block)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(purpose, block))))
