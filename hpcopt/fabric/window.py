"""Windows: memory of every node that the others read and write without its help.

    window = node.window(words)                      # collective
    window.local                                     # this node's part
    window.put(x, target, at); window.flush(target)  # x lies there
    window.get(target, at, out); window.flush(target)
    window.fetch_and_op(1, target, at)               # atomic, on one int64

A word is eight bytes, an int64 or a float64. Words that several nodes change, or that one changes while another reads,
are touched by atomics only, by their owner too; all else by put and get, which may be torn: `Publication` reads whole
vectors.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, Literal

from numpy.typing import NDArray

from hpcopt.arrays import Words
from hpcopt.fabric.ledger import Ledger

Eights = NDArray[Any]
"""A contiguous array of numbers of eight bytes."""
Op = Literal["sum", "replace", "no-op"]
Windows = Literal["auto", "one-sided", "two-sided"]
"""How ranks of MPI make windows: by its one-sided operations, by messages, or as turns out to work."""


class Window(abc.ABC):
    """One window: `words` words on every node, zero at first.

    Nothing here waits for another node's program; a node that computes for long without its oracle's progress pokes can
    hold up operations on its own part.

    Parameters
    ----------
    words
        Words of each node's part.
    ledger
        Where what this node starts is booked: the bytes of `put`, `get` and `accumulate`, eight bytes an atomic. What
        a node does to its own part is free.
    link_class
        What the ledger calls this traffic.
    by_edge
        Whether it is booked by edge as well; a `get` counts on the reader's side.
    """

    def __init__(self, words: int, ledger: Ledger, rank: int, link_class: str, *, by_edge: bool) -> None:
        self.words = words
        self.rank = rank
        self.local: Words
        self._ledger = ledger
        self._link_class = link_class
        self._by_edge = by_edge

    def _book(self, target: int, size: int) -> None:
        if target == self.rank:
            return
        account = self._ledger.current
        account.messages += 1
        account.bytes += size
        account.by_class[self._link_class] += size
        if self._by_edge:
            account.by_edge[target] += size

    def count_round(self) -> None:
        """Book that a round of this node's has begun: several operations that belong together."""
        self._ledger.current.rounds += 1

    @abc.abstractmethod
    def put(self, x: Eights, target: int, at: int = 0) -> None:
        """Write `x` into the target's part from word `at` on; done after the next `flush` of that target.

        `x` is left alone until then.
        """

    @abc.abstractmethod
    def get(self, target: int, at: int, out: Eights) -> None:
        """Read the target's part from word `at` on into `out`, which is filled after the next `flush`."""

    @abc.abstractmethod
    def accumulate(self, x: Eights, target: int, at: int = 0) -> None:
        """Add `x` to the target's words, each of them atomically; done after the next `flush` of that target."""

    @abc.abstractmethod
    def fetch_and_op(self, value: int, target: int, at: int, op: Op = "sum") -> int:
        """Change the int64 at word `at` of the target atomically, and return what was there before.

        "sum" adds `value`, "replace" writes it, "no-op" only reads.
        """

    @abc.abstractmethod
    def compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        """Write `desired` where `expected` stands, atomically, and return what was there before."""

    @abc.abstractmethod
    def flush(self, target: int) -> None:
        """Wait until all this node's operations on the target's part are done there, and here."""

    @abc.abstractmethod
    def sync(self) -> None:
        """Make what was stored into `local` visible to others; called before they are told of it."""

    @abc.abstractmethod
    def wait(self, at: int, until: Callable[[int], bool], seconds: float = math.inf) -> int:
        """Wait until `until` holds of the own word `at`, which others change by atomics; return that word.

        After so many `seconds` on this node's clock it returns whatever the word is.
        """

    def notify(self, x: Words, target: int, at: int, flag: int, value: int) -> None:
        """Put `x`, and after it has come write `value` into the target's word `flag`: whoever waits on it finds `x`."""
        self.put(x, target, at)
        self.flush(target)
        self.fetch_and_op(value, target, flag, "replace")
