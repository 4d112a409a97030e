"""Windows: memory on every node that the others read and write without its participation.

    window = node.window(words)                      # collective
    window.local                                     # this node's part
    window.put(x, target, at); window.flush(target)  # x has been written
    window.get(target, at, out); window.flush(target)
    window.fetch_and_op(1, target, at)               # atomic, on one int64

A word is eight bytes, an int64 or a float64. Words that several nodes change, or that one node changes while another
reads them, are accessed only by atomics, also by their owner; all others by put and get, which may be torn.
`Publication` reads vectors consistently.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, Literal, final

from numpy.typing import NDArray

from hpcopt.arrays import Words
from hpcopt.fabric.seam import Kind, Operation, Seam

Eights = NDArray[Any]
"""A contiguous array of numbers of eight bytes."""
Op = Literal["sum", "replace", "no-op"]
Windows = Literal["auto", "one-sided", "two-sided"]
"""How MPI ranks implement windows: by one-sided operations, by messages, or by whichever works."""

WORD = 8  # bytes


class Window(abc.ABC):
    """One window: `words` words on every node, zero at first.

    No operation waits for another node's program; but a node that computes for long without oracle calls, which poll,
    can delay operations on its part.

    Parameters
    ----------
    words
        Number of words of each node's part.
    seam
        Where operations are observed. The origin is charged: the bytes of `put`, `get` and `accumulate`, and eight
        bytes per atomic. Operations on a node's own part are free.
    link_class
        The ledger's name for this traffic.
    by_edge
        Whether it is also booked by edge; a `get` is booked by the reader.
    """

    def __init__(self, words: int, seam: Seam, rank: int, link_class: str, *, by_edge: bool) -> None:
        self.words = words
        self.rank = rank
        self.local: Words
        self._seam = seam
        self._op = Operation(self, link_class)
        self._op.by_edge = by_edge

    def _begin(self, kind: Kind, target: int, sent: int, received: int) -> Operation:
        """Begin an operation that moves `sent` bytes to the target and `received` bytes from it."""
        op = self._op
        op.peer = target
        op.sent = sent
        op.received = received
        if target == self.rank:
            op.messages = op.bytes = 0
        else:
            op.messages = 1
            op.bytes = sent + received
        if not self._seam.quiet:
            op.kind = kind
            for begin in self._seam.begins:
                begin(op)
        return op

    def _begin_empty(self, kind: Kind, target: int, rounds: int = 0) -> Operation:
        """Begin an operation that carries no data."""
        op = self._op
        op.kind = kind
        op.peer = target
        op.sent = op.received = op.messages = op.bytes = 0
        op.rounds = rounds
        for begin in self._seam.begins:
            begin(op)
        return op

    def _end(self, op: Operation, result: Any = None) -> None:
        for end in self._seam.ends:
            end(op, result)

    @final
    def count_round(self) -> None:
        """Count a round of this node: several operations that belong together."""
        op = self._begin_empty("round", self.rank, rounds=1)
        self._end(op)
        op.rounds = 0

    @final
    def put(self, x: Eights, target: int, at: int = 0) -> None:
        """Write `x` into the target's part from word `at` on; complete after the next `flush` of that target.

        `x` must not be modified until then.
        """
        op = self._begin("put", target, x.nbytes, 0)
        self._put(x, target, at)
        for end in self._seam.ends:
            end(op, None)

    @abc.abstractmethod
    def _put(self, x: Eights, target: int, at: int) -> None: ...

    @final
    def get(self, target: int, at: int, out: Eights) -> None:
        """Read the target's part from word `at` on into `out`, which is valid after the next `flush`."""
        op = self._begin("get", target, 0, out.nbytes)
        self._get(target, at, out)
        for end in self._seam.ends:
            end(op, None)

    @abc.abstractmethod
    def _get(self, target: int, at: int, out: Eights) -> None: ...

    @final
    def accumulate(self, x: Eights, target: int, at: int = 0) -> None:
        """Add `x` to the target's words, each atomically; complete after the next `flush` of that target."""
        op = self._begin("accumulate", target, x.nbytes, 0)
        self._accumulate(x, target, at)
        for end in self._seam.ends:
            end(op, None)

    @abc.abstractmethod
    def _accumulate(self, x: Eights, target: int, at: int) -> None: ...

    @final
    def fetch_and_op(self, value: int, target: int, at: int, op: Op = "sum") -> int:
        """Change the int64 at word `at` of the target atomically, and return its previous value.

        "sum" adds `value`, "replace" writes it, "no-op" only reads.
        """
        begun = self._begin("fetch_and_op", target, WORD, 0)
        before = self._fetch_and_op(value, target, at, op)
        for end in self._seam.ends:
            end(begun, before)
        return before

    @abc.abstractmethod
    def _fetch_and_op(self, value: int, target: int, at: int, op: Op) -> int: ...

    @final
    def compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        """Atomically write `desired` if the word equals `expected`; return the previous value."""
        op = self._begin("compare_and_swap", target, WORD, 0)
        before = self._compare_and_swap(expected, desired, target, at)
        for end in self._seam.ends:
            end(op, before)
        return before

    @abc.abstractmethod
    def _compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int: ...

    @final
    def flush(self, target: int) -> None:
        """Wait until all of this node's operations on the target's part are complete on both sides."""
        if self._seam.quiet:
            self._flush(target)
            return
        op = self._begin_empty("flush", target)
        self._flush(target)
        self._end(op)

    @abc.abstractmethod
    def _flush(self, target: int) -> None: ...

    @abc.abstractmethod
    def sync(self) -> None:
        """Make writes to `local` visible to others; called before they are notified of them."""

    @final
    def wait(self, at: int, until: Callable[[int], bool], seconds: float = math.inf) -> int:
        """Wait until `until` holds for this node's word `at`, which others change by atomics; return that word.

        After `seconds` on this node's clock it returns the word whatever its value.
        """
        op = self._begin_empty("wait", self.rank)
        word = self._wait(at, until, seconds)
        self._end(op, word)
        return word

    @abc.abstractmethod
    def _wait(self, at: int, until: Callable[[int], bool], seconds: float) -> int: ...

    @final
    def notify(self, x: Words, target: int, at: int, flag: int, value: int) -> None:
        """Put `x`, and after its arrival write `value` to the target's word `flag`: a node waiting on it finds `x`."""
        self.put(x, target, at)
        self.flush(target)
        self.fetch_and_op(value, target, flag, "replace")
