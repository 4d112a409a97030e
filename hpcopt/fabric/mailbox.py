"""Mailboxes: messages without a matching receive call."""

from __future__ import annotations

import abc
from typing import Any, final

from hpcopt.arrays import Bytes
from hpcopt.fabric.seam import Kind, Operation, Seam

Messages = list[tuple[int, Bytes]]
"""Messages, each with its source."""


class Mailbox(abc.ABC):
    """One node's mailbox: it keeps incoming messages until they are taken.

    Parameters
    ----------
    seam
        Where operations are observed. The sender is charged, edge by edge.
    """

    link_class = "neighbour"

    def __init__(self, seam: Seam) -> None:
        self._seam = seam
        self._op = Operation(self, self.link_class)
        self._op.by_edge = True

    def _begin(self, kind: Kind, rounds: int = 0) -> Operation:
        """Begin an operation that carries no data."""
        op = self._op
        op.kind = kind
        op.sent = op.messages = op.bytes = 0
        op.rounds = rounds
        for begin in self._seam.begins:
            begin(op)
        return op

    def _end(self, op: Operation, result: Any = None) -> None:
        for end in self._seam.ends:
            end(op, result)

    @final
    def count_round(self) -> None:
        """Count a round of this node: several messages that belong together."""
        op = self._begin("round", rounds=1)
        self._end(op)
        op.rounds = 0

    @final
    def send(self, target: int, message: Bytes) -> None:
        """Send a copy of `message` without waiting; messages to one target arrive in order."""
        op = self._op
        op.kind = "send"
        op.peer = target
        op.sent = op.bytes = message.nbytes
        op.messages = 1
        op.leaves = 0.0
        op.lost = False
        for begin in self._seam.begins:
            begin(op)
        if not op.lost:
            self._send(target, message, op.leaves)
        for end in self._seam.ends:
            end(op, None)

    @abc.abstractmethod
    def _send(self, target: int, message: Bytes, leaves: float) -> None:
        """Send the message at the time `leaves` of `time.perf_counter`; 0: at once."""

    @final
    def flush(self) -> None:
        """Wait until all messages of this node have left it."""
        op = self._begin("flush")
        self._flush()
        self._end(op)

    @abc.abstractmethod
    def _flush(self) -> None: ...

    @final
    def take(self) -> Messages:
        """Return (source, message) of all messages received, in order of arrival, without waiting."""
        op = self._begin("take")
        mail = self._take()
        self._end(op, mail)
        return mail

    @abc.abstractmethod
    def _take(self) -> Messages: ...

    @final
    def wait(self) -> None:
        """Wait until there is a message to take."""
        op = self._begin("wait")
        self._wait()
        self._end(op)

    @abc.abstractmethod
    def _wait(self) -> None: ...

    @final
    def drain(self) -> Messages:
        """Return all outstanding messages once no node sends any more; collective over all nodes."""
        op = self._begin("drain")
        mail = self._drain()
        self._end(op, mail)
        return mail

    @abc.abstractmethod
    def _drain(self) -> Messages: ...
