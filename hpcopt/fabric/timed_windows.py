"""Windows, boards and mailboxes of a node whose timeline is kept: the same operations, with their spans.

What is asynchronous takes no span: a `put` or a `get` is an exchange while its node waits for it, in a flush.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from hpcopt.arrays import Bytes, Words
from hpcopt.fabric.board import Board
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.timeline import BOARD, EXCHANGE, WAIT, Timeline
from hpcopt.fabric.window import Op, Window
from hpcopt.fabric.wrapped import WrappedWindow


class Recorded(Protocol):
    """The node: its timeline, None while it is measured, and its clock."""

    timeline: Timeline | None

    def now(self) -> float:
        """Return seconds on the node's clock."""


@contextmanager
def _spent(node: Recorded, kind: int) -> Iterator[None]:
    timeline = node.timeline
    if timeline is None:
        yield
        return
    begun = node.now()
    yield
    timeline.span(kind, begun, node.now())


class TimedWindow(WrappedWindow):
    """A window whose node's waiting for others' memory is recorded."""

    def __init__(self, window: Window, node: Recorded) -> None:
        super().__init__(window)
        self._node = node

    def fetch_and_op(self, value: int, target: int, at: int, op: Op = "sum") -> int:
        with _spent(self._node, EXCHANGE):
            return super().fetch_and_op(value, target, at, op)

    def compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        with _spent(self._node, EXCHANGE):
            return super().compare_and_swap(expected, desired, target, at)

    def flush(self, target: int) -> None:
        with _spent(self._node, EXCHANGE):
            super().flush(target)

    def wait(self, at: int, until: Callable[[int], bool], seconds: float = math.inf) -> int:
        with _spent(self._node, WAIT):
            return super().wait(at, until, seconds)


class TimedBoard(Board):
    """A board whose transitions and waits are recorded."""

    def __init__(self, board: Board, node: Recorded) -> None:
        self._board = board
        self._node = node

    def post(self, kind: int, value: int = 0) -> None:
        with _spent(self._node, BOARD):
            self._board.post(kind, value)

    def wait(self) -> Words:
        with _spent(self._node, WAIT):
            return self._board.wait()


class TimedMailbox(Mailbox):
    """A mailbox whose waits are recorded."""

    def __init__(self, mailbox: Mailbox, node: Recorded) -> None:  # the mailbox itself books
        self._mailbox = mailbox
        self._node = node

    def count_round(self) -> None:
        self._mailbox.count_round()

    def send(self, target: int, message: Bytes) -> None:
        self._mailbox.send(target, message)

    def flush(self) -> None:
        with _spent(self._node, EXCHANGE):
            self._mailbox.flush()

    def take(self) -> list[tuple[int, Bytes]]:
        return self._mailbox.take()

    def wait(self) -> None:
        with _spent(self._node, WAIT):
            self._mailbox.wait()

    def drain(self) -> list[tuple[int, Bytes]]:
        with _spent(self._node, WAIT):
            return self._mailbox.drain()
