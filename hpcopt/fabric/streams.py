"""Independent streams of random numbers, one a node, and keys of others, from the seed and the node's rank."""

from __future__ import annotations

import numpy as np

_WORD = 2**64 - 1


def stream(seed: int, rank: int) -> np.random.Generator:
    """Return node `rank`'s stream: the same on every cluster, independent of all other ranks' streams."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(rank,))))


def key(seed: int, rank: int, *counters: int) -> int:
    """Return 64 bits that stand for (seed, rank, counters): the key of a stream that is nobody's state.

    A chain of splitmix64 steps (Steele, Lea, Flood 2014), one a number: whoever knows the numbers finds the key.
    """
    state = _mixed(seed)
    for number in (rank, *counters):
        state = _mixed(state ^ number)
    return state


def _mixed(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return z ^ (z >> 31)
