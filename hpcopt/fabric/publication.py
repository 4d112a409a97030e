"""Publications: each node has a vector that others read consistently, whatever its owner does meanwhile.

A node's part of the window holds two slots, used alternately:

    readers[0] readers[1] | number, d doubles, number | number, d doubles, number

Readers learn from other messages which publication to read, and increment the slot's count of readers afterwards. The
owner overwrites a slot only after all expected readers of the publication before the last have read it. So torn reads
can't happen, and the numbers around the vector verify this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.fabric.window import Window

COUNTERS = 2
MARKS = 2  # publication numbers around each vector


class TornReadError(RuntimeError):
    """A vector was read while its owner wrote it: a violation of the protocol."""


class Publication:
    """One node's side of a publication.

    Parameters
    ----------
    window
        A window of `Publication.words(d)` words, used for nothing else.
    d
        Length of the vectors.
    poison
        Whether a slot is filled with NaN before it is written, which exposes late readers.
    """

    def __init__(self, window: Window, d: int, *, poison: bool = False) -> None:
        self._window = window
        self._d = d
        self._poison = poison
        self._slots = [window.local[self._place(slot) : self._place(slot) + d + MARKS] for slot in (0, 1)]
        self._expected = [0, 0]  # expected readers of each slot's publication
        self._received: list[NDArray[np.int64]] = []
        self.number = 0
        """Number of the last publication; the first is 1."""

    @staticmethod
    def words(d: int) -> int:
        """Return the number of words that a window needs for vectors of length `d`."""
        return COUNTERS + 2 * (d + MARKS)

    def _place(self, slot: int) -> int:
        return COUNTERS + slot * (self._d + MARKS)

    def publish(self, x: Vector) -> int:
        """Publish `x`, shape (d,), and return its number; wait for the readers of the slot's previous publication."""
        self.number += 1
        slot = self.number % 2
        expected, window = self._expected[slot], self._window
        window.wait(slot, lambda readers: readers == expected)
        window.fetch_and_op(0, window.rank, slot, "replace")  # before others learn of the new one
        self._expected[slot] = 0
        words = self._slots[slot]
        if self._poison:
            words[1:-1].view(np.float64)[:] = np.nan
            window.sync()
        words[0] = words[-1] = self.number
        words[1:-1].view(np.float64)[:] = x
        window.sync()
        return self.number

    def expect(self, readers: int) -> None:
        """Set the number of nodes that will read the last publication; without this call, none."""
        self._expected[self.number % 2] = readers

    def fetch(self, sources: Sequence[int], numbers: Sequence[int]) -> None:
        """Start reading publication `numbers[i]` of node `sources[i]`, completed by `fetched`. One round."""
        self._window.count_round()
        while len(self._received) < len(sources):
            self._received.append(np.empty(self._d + MARKS, dtype=np.int64))
        for source, number, received in zip(sources, numbers, self._received, strict=False):
            self._window.get(source, self._place(number % 2), received)

    def fetched(self, sources: Sequence[int], numbers: Sequence[int]) -> list[Vector]:
        """Return the vectors requested by `fetch`, in that order; the arrays are valid until the next fetch.

        Raises
        ------
        TornReadError
            If a vector is not completely the requested publication.
        """
        vectors = []
        for source, number, received in zip(sources, numbers, self._received, strict=False):
            self._window.flush(source)
            if not received[0] == received[-1] == number:
                found = f"{received[0]} and {received[-1]}"
                raise TornReadError(
                    f"node {self._window.rank} asked node {source} for publication {number}, read {found}"
                )
            self._window.fetch_and_op(1, source, number % 2)
            vectors.append(received[1:-1].view(np.float64))
        return vectors
