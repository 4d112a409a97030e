"""Counter-based random numbers: each draw depends only on (seed, node, purpose, counters).

A sequential stream would have to be saved with a checkpoint, and its numbers would depend on earlier draws. The purpose
comes first in the key, so that no two purposes share a stream: `Draw` lists them all.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

_WORD = 2**64 - 1


class Draw(IntEnum):
    """The purposes of random numbers; solvers outside this package use values from 2**40 on."""

    MESSAGE = 0  # the dither of a step's compressed message,
    SECOND_MESSAGE = 1  # and of the second vector sent in the step
    BATCH = 2  # the rows of a step
    EDGE_MESSAGE = 3  # the dither of a message to one neighbour
    PARTNER = 4  # the worker's partner for averaging, and its back-off if the partner is busy
    GROUPS = 5  # the seed of a group generator
    SLOTS = 6  # the time slots in which a worker makes a step
    PROBE = 2**32  # vectors and messages of a gossip benchmark
    SCATTER = 2**33  # the nodes' individual starting points
    LINKS = 0x6C696E6B  # which links are slow,
    NODES = 0x6E6F6465  # which nodes are,
    PACES = 0x70616365  # and how long a node's step takes


def key(seed: int, rank: int, *counters: int) -> int:
    """Return a 64-bit hash of (seed, rank, counters), the key of a stream.

    A chain of splitmix64 steps (Steele, Lea, Flood 2014), one per number, so any node can compute it.
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


class Draws:
    """A random generator that is re-keyed for each use: 1 us instead of 6 us for a new one."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._start = self._bits.state  # the state before the first number

    def keyed(self, key: int) -> np.random.Generator:
        """Return the generator at the start of the stream of `key`, 64 bits; valid until the next call."""
        self._start["state"]["key"][0] = key
        self._bits.state = self._start
        return self._generator
