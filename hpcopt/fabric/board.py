"""The board: one small state that all nodes change, a transition at a time, though it is nobody's.

What the state means is the business of a `Machine`, a pure function; an engine brings events to it in one order for
all, and mails to their nodes. There is one engine a kind of cluster, and one machine for all of them.
"""

from __future__ import annotations

import abc
from typing import Protocol, final

from hpcopt.arrays import Words
from hpcopt.fabric.seam import Kind, Operation, Seam

Mail = tuple[int, Words]
"""A node, and what it is told."""

LINK_CLASS = "board"


class Machine(Protocol):
    """A state of int64 words and how events change it: pure, so that any node may work it.

    Attributes
    ----------
    words
        Of the packed state.
    mail
        The most words of one mail.
    """

    words: int
    mail: int

    def begin(self, state: Words) -> None:
        """Fill a zeroed state, shape (words,), with the beginning."""

    def apply(self, state: Words, events: Words) -> list[Mail]:
        """Change `state` by events that happen at one instant, shape (m, 3): (kind, node, value); return the mails."""
        ...


class Board(abc.ABC):
    """One node's access to the state.

    Parameters
    ----------
    seam
        Where operations are observed; an engine that stands on a window leaves the charges to that.
    """

    def __init__(self, seam: Seam) -> None:
        self._seam = seam
        self._op = Operation(self, LINK_CLASS)

    def _begin(self, kind: Kind) -> Operation:
        op = self._op
        op.kind = kind
        op.messages = op.bytes = 0
        for begin in self._seam.begins:
            begin(op)
        return op

    @final
    def post(self, kind: int, value: int = 0) -> None:
        """Bring the event (kind, this node, value) to the machine, and send the mails that come of it."""
        op = self._begin("post")
        self._post(kind, value)
        for end in self._seam.ends:
            end(op, None)

    @abc.abstractmethod
    def _post(self, kind: int, value: int) -> None: ...

    @final
    def wait(self) -> Words:
        """Wait for this node's next mail and return it."""
        op = self._begin("wait")
        mail = self._wait()
        for end in self._seam.ends:
            end(op, mail)
        return mail

    @abc.abstractmethod
    def _wait(self) -> Words: ...
