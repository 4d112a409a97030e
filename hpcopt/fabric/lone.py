"""What a node has that is alone, in a group or on a cluster: it is its own target, and everything has come at once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Vector, Words
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.interface import Group, Neighbourhood
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.window import Eights, Op, Window


class WaitsForEverError(RuntimeError):
    """A lone node waits for what only another could do."""


class LoneGroup(Group):
    """The group of one: every operation returns what it was given. Rounds count, bytes there are none."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        super().__init__(0, 1, ledger or Ledger())

    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        self._book(x.nbytes, x.nbytes)
        if out is None:
            return x.copy()
        if out is not x:
            out[...] = x
        return out

    def max(self, x: Vector) -> Vector:
        self._book(x.nbytes, x.nbytes)
        return x.copy()

    def broadcast(self, x: Vector, root: int = 0) -> Vector:  # noqa: ARG002
        self._book(0, x.nbytes)
        return x.copy()

    def gather(self, x: Vector, root: int = 0) -> Vector | None:  # noqa: ARG002
        self._book(x.nbytes, 0)
        return np.array(x[np.newaxis])

    def allgather(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        self._book(x.nbytes, x.nbytes)
        return [x.copy()]

    def alltoall(self, parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        self._book(0, 0)
        return [parts[0].copy()]

    def barrier(self) -> None:
        pass


class LoneNeighbourhood(Neighbourhood):
    """The neighbourhood of a node that is alone: nothing goes out, nothing comes. Rounds count."""

    def exchange(self, message: Bytes) -> list[Bytes]:
        self._ledger.current.book_edges(self.link_class, (), message.nbytes)
        return []

    def exchange_varying(self, message: Bytes) -> list[Bytes]:
        self.exchange(message)
        return self.exchange(message)


class LoneWindow(Window):
    """The window of the only node."""

    def __init__(self, words: int, ledger: Ledger, link_class: str, *, by_edge: bool) -> None:
        super().__init__(words, ledger, 0, link_class, by_edge=by_edge)
        self.local = np.zeros(words, dtype=np.int64)

    def _part(self, x: Eights, target: int, at: int) -> Eights:
        if target != 0:
            raise ValueError(f"a cluster of one node has no node {target}")
        return self.local[at : at + len(x)].view(x.dtype)

    def put(self, x: Eights, target: int, at: int = 0) -> None:
        self._part(x, target, at)[:] = x

    def get(self, target: int, at: int, out: Eights) -> None:
        out[:] = self._part(out, target, at)

    def accumulate(self, x: Eights, target: int, at: int = 0) -> None:
        part = self._part(x, target, at)
        part += x

    def fetch_and_op(self, value: int, target: int, at: int, op: Op = "sum") -> int:  # noqa: ARG002
        before = int(self.local[at])
        if op != "no-op":
            self.local[at] = before + value if op == "sum" else value
        return before

    def compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:  # noqa: ARG002
        before = int(self.local[at])
        if before == expected:
            self.local[at] = desired
        return before

    def flush(self, target: int) -> None:
        pass

    def sync(self) -> None:
        pass

    def wait(self, at: int, until: Callable[[int], bool], seconds: float = math.inf) -> int:  # noqa: ARG002
        word = int(self.local[at])
        if not until(word):
            raise WaitsForEverError("a cluster of one node waits for a word of its window to change")
        return word


class LoneBoard(Board):
    """The board of the only node."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._state = np.zeros(machine.words, dtype=np.int64)
        self._mails: deque[Words] = deque()
        machine.begin(self._state)

    def post(self, kind: int, value: int = 0) -> None:
        event = np.array([[kind, 0, value]], dtype=np.int64)
        self._mails += [words.copy() for _, words in self._machine.apply(self._state, event)]

    def wait(self) -> Words:
        if not self._mails:
            raise WaitsForEverError("a cluster of one node waits for mail from the board")
        return self._mails.popleft()


class LoneMailbox(Mailbox):
    """The mailbox of the only node: there is nobody to write to."""

    def send(self, target: int, message: Bytes) -> None:  # noqa: ARG002
        raise ValueError(f"a cluster of one node has no node {target}")

    def flush(self) -> None:
        pass

    def take(self) -> list[tuple[int, Bytes]]:
        return []

    def wait(self) -> None:
        raise WaitsForEverError("a cluster of one node waits for messages")

    def drain(self) -> list[tuple[int, Bytes]]:
        return []
