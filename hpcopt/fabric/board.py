"""The board: one small state that all nodes update, one transition at a time, without a server process.

A `Machine`, a pure function, defines the state and its transitions. An engine applies events in the same order for all
nodes and delivers the resulting mails. Each kind of cluster has its own engine; the machine is the same for all.
"""

from __future__ import annotations

import abc
from typing import Protocol, final

from hpcopt.arrays import Words
from hpcopt.fabric.seam import Kind, Operation, Seam

Mail = tuple[int, Words]
"""A receiving node and the words sent to it."""

LINK_CLASS = "board"


class Machine(Protocol):
    """A state of int64 words and its transitions: pure, so that any node can execute them.

    Attributes
    ----------
    words
        Number of words of the packed state.
    mail
        Maximum number of words of a mail.
    """

    words: int
    mail: int

    def begin(self, state: Words) -> None:
        """Write the initial state into a zeroed array, shape (words,)."""

    def apply(self, state: Words, events: Words) -> list[Mail]:
        """Apply simultaneous events, shape (m, 3): (kind, node, value), to `state`; return the mails."""
        ...


class Board(abc.ABC):
    """One node's access to the state.

    Parameters
    ----------
    seam
        Where operations are observed. An engine built on a window leaves the charges to the window.
    """

    def __init__(self, seam: Seam) -> None:
        self._seam = seam
        self._op = Operation(self, LINK_CLASS)

    def _begin(self, kind: Kind) -> Operation:
        op = self._op
        op.kind = kind
        op.messages = op.bytes = op.received = 0
        for begin in self._seam.begins:
            begin(op)
        return op

    @final
    def post(self, kind: int, value: int = 0) -> None:
        """Apply the event (kind, this node, value) to the state, and send the resulting mails."""
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
