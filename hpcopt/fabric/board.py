"""The board: one small state that all nodes change, a transition at a time, though it is nobody's.

What the state means is the business of a `Machine`, a pure function; an engine brings events to it in one order for
all, and mails to their nodes. There is one engine a kind of cluster, and one machine for all of them.
"""

from __future__ import annotations

import abc
from typing import Protocol

from hpcopt.arrays import Words

Mail = tuple[int, Words]
"""A node, and what it is told."""


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
    """One node's access to the state."""

    @abc.abstractmethod
    def post(self, kind: int, value: int = 0) -> None:
        """Bring the event (kind, this node, value) to the machine, and send the mails that come of it."""

    @abc.abstractmethod
    def wait(self) -> Words:
        """Wait for this node's next mail and return it."""
