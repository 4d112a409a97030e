"""A window, a board and a mailbox of a node that is alone: it is its own target, and everything has come at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from hpcopt.fabric.board import Board, Machine, Words
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Bytes, Mailbox
from hpcopt.fabric.window import Eights, Op, Window


class WaitsForEverError(RuntimeError):
    """A lone node waits for what only another could do."""


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

    def wait(self, at: int, until: Callable[[int], bool]) -> int:
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
