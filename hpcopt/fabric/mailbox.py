"""Mailboxes: messages that are sent without a partner who waits for them."""

from __future__ import annotations

import abc

from hpcopt.arrays import Bytes
from hpcopt.fabric.ledger import Ledger


class Mailbox(abc.ABC):
    """One node's box: what comes in is kept until it is asked for.

    Parameters
    ----------
    ledger
        Where messages and bytes are booked, edge by edge, by the sender.
    """

    link_class = "neighbour"

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def count_round(self) -> None:
        """Book that a round of this node's has begun: several messages that belong together."""
        self._ledger.current.rounds += 1

    @abc.abstractmethod
    def send(self, target: int, message: Bytes) -> None:
        """Send a copy of `message` on its way; two messages to one target come in their order."""

    @abc.abstractmethod
    def flush(self) -> None:
        """Wait until all that this node has sent has left it."""

    @abc.abstractmethod
    def take(self) -> list[tuple[int, Bytes]]:
        """Return (source, message) of all that has come, in the order of its coming, without waiting."""

    @abc.abstractmethod
    def wait(self) -> None:
        """Wait until there is something to take."""

    @abc.abstractmethod
    def drain(self) -> list[tuple[int, Bytes]]:
        """Return all that is still to come, once nobody sends any more: collective over all nodes."""
