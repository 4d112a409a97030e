"""Neighbourhoods: a node's links in a directed graph."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import final

import numpy as np

from hpcopt.arrays import Bytes
from hpcopt.fabric.seam import Kind, Operation, Seam

LENGTH = 8  # bytes of a message's length


class Neighbourhood(abc.ABC):
    """A node's links in a directed graph: it sends to its targets and receives from its sources.

    Every operation is collective over the nodes of the graph, but returns once the messages of this node's sources have
    arrived: no node waits for others than its sources. The sender is charged for each edge.

    Parameters
    ----------
    sources, targets
        Ranks, ascending, without the node itself. Each target names this node as a source.
    seam
        Where operations are observed.
    link_class
        The class of these links, as the ledger names it.
    """

    def __init__(self, sources: Sequence[int], targets: Sequence[int], seam: Seam, link_class: str) -> None:
        self.sources = tuple(sources)
        self.targets = tuple(targets)
        self._seam = seam
        self._op = Operation(self, link_class, self.targets)
        self._op.edges = self.targets

    def outbox(self, size: int) -> Bytes:
        """Return a buffer of `size` bytes for the next message; writing the message into it saves a copy."""
        return np.empty(size, dtype=np.uint8)

    def _begin(self, kind: Kind, size: int, rounds: int) -> Operation:
        """Begin `rounds` rounds, in which `size` bytes go to each target."""
        op, targets = self._op, len(self.targets)
        op.sent = size
        op.rounds = rounds
        op.messages = rounds * targets
        op.bytes = targets * size
        if not self._seam.quiet:
            op.kind = kind
            for begin in self._seam.begins:
                begin(op)
        return op

    def scout(self, op: Operation) -> None:  # noqa: ARG002  (the same for all operations)
        """Wait for the sources by a small message that is not observed."""
        self._exchange(np.zeros(1, dtype=np.uint8))

    def compare(self, own: bytes) -> dict[int, bytes]:
        """Return the rank and the text of every source, by an exchange that is not observed."""
        return dict(zip(self.sources, map(bytes, self._exchange_varying(np.frombuffer(own, np.uint8))), strict=True))

    @final
    def exchange(self, message: Bytes) -> list[Bytes]:
        """Send `message` to all targets; return the messages of the sources, in their order. One round.

        All nodes send messages of the same size. The returned arrays are read-only, valid until the next exchange, and
        aligned to 8 bytes.
        """
        op = self._begin("exchange", message.nbytes, 1)
        received = self._exchange(message)
        for end in self._seam.ends:
            end(op, received)
        return received

    @abc.abstractmethod
    def _exchange(self, message: Bytes) -> list[Bytes]: ...

    @final
    def exchange_varying(self, message: Bytes) -> list[Bytes]:
        """Do the same with messages of any sizes. Two rounds: the lengths, eight bytes each, are sent first."""
        op = self._begin("exchange_varying", LENGTH + message.nbytes, 2)
        received = self._exchange_varying(message)
        for end in self._seam.ends:
            end(op, received)
        return received

    @abc.abstractmethod
    def _exchange_varying(self, message: Bytes) -> list[Bytes]: ...
