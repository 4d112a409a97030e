"""Publications: a vector of each node that others read whole, whatever its owner does meanwhile.

A node's part of the window holds two slots, used by turns:

    readers[0] readers[1] | number, d doubles, number | number, d doubles, number

Readers are told by others which publication to read, and count themselves when they have. The owner writes a slot again
only after all who were to read the publication two back have done so; so a torn read can't happen, and the numbers
around the vector prove that none has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.fabric.window import Window

COUNTERS = 2
MARKS = 2  # numbers around each vector


class TornReadError(RuntimeError):
    """A vector was read while its owner wrote it: the protocol is broken."""


class Publication:
    """One node's side.

    Parameters
    ----------
    window
        Of `Publication.words(d)` words, used by nobody else.
    d
        Numbers of a vector.
    poison
        Whether a slot is filled with NaN before it is written: a reader that comes too late would show it.
    """

    def __init__(self, window: Window, d: int, *, poison: bool = False) -> None:
        self._window = window
        self._d = d
        self._poison = poison
        self._slots = [window.local[self._place(slot) : self._place(slot) + d + MARKS] for slot in (0, 1)]
        self._expected = [0, 0]  # readers of each slot's publication
        self._received: list[NDArray[np.int64]] = []
        self.number = 0
        """Of the last publication; the first is 1."""

    @staticmethod
    def words(d: int) -> int:
        """Return the words of the window that vectors of `d` numbers need."""
        return COUNTERS + 2 * (d + MARKS)

    def _place(self, slot: int) -> int:
        return COUNTERS + slot * (self._d + MARKS)

    def publish(self, x: Vector) -> int:
        """Publish `x`, shape (d,), and return its number; waits for the readers of the publication two back."""
        self.number += 1
        slot = self.number % 2
        expected, window = self._expected[slot], self._window
        window.wait(slot, lambda readers: readers == expected)
        window.fetch_and_op(0, window.rank, slot, "replace")  # before anybody is told of the new one
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
        """Say how many nodes will read the last publication; nobody, if this is never called for it."""
        self._expected[self.number % 2] = readers

    def fetch(self, sources: Sequence[int], numbers: Sequence[int]) -> None:
        """Begin to read publication `numbers[i]` of node `sources[i]`, for each i; `fetched` ends it. One round."""
        self._window.count_round()
        while len(self._received) < len(sources):
            self._received.append(np.empty(self._d + MARKS, dtype=np.int64))
        for source, number, received in zip(sources, numbers, self._received, strict=False):
            self._window.get(source, self._place(number % 2), received)

    def fetched(self, sources: Sequence[int], numbers: Sequence[int]) -> list[Vector]:
        """Return what `fetch` was called for, in that order: arrays of ours, good until the next fetch.

        Raises
        ------
        TornReadError
            If a vector is not the publication asked for, whole.
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
