"""Random numbers without a position: each draw is keyed by (seed, node, what it is for, counters), and by nothing else.

A stream that is read on and on would be one more thing to save with a checkpoint, and its numbers would hang on who
drew before. What a draw is for comes first in its key, so that no two purposes share one: `Draw` lists them all.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

_WORD = 2**64 - 1


class Draw(IntEnum):
    """What a number is drawn for; solvers outside this package take numbers from 2**40 on."""

    MESSAGE = 0  # the dither of a step's compressed message,
    SECOND_MESSAGE = 1  # and of the second vector sent in the step
    BATCH = 2  # the rows of a step
    EDGE_MESSAGE = 3  # the dither of a message to one neighbour
    PARTNER = 4  # with whom a worker averages, and for how long it pauses if that one is busy
    GROUPS = 5  # the seed of a generator of groups
    PROBE = 2**32  # vectors and messages of a trial of gossip
    SCATTER = 2**33  # the nodes' own starts
    LINKS = 0x6C696E6B  # which links are slow,
    NODES = 0x6E6F6465  # which nodes are,
    PACES = 0x70616365  # and how long a node's step takes


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


class Draws:
    """A generator of random numbers that is given one key after another: 1 us, where a new one takes 6."""

    def __init__(self) -> None:
        self._bits = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._bits)
        self._start = self._bits.state  # before its first number

    def keyed(self, key: int) -> np.random.Generator:
        """Return the generator at the start of the stream of `key`, 64 bits; to be used up before the next call."""
        self._start["state"]["key"][0] = key
        self._bits.state = self._start
        return self._generator
