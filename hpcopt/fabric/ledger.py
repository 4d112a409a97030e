"""The ledger: rounds, messages and bytes, counted in the fabric and nowhere else.

Bytes are the sizes of the arrays sent, by direction, class of link and, between neighbours, edge. The driver's own
messages for measuring a run use the same network and are booked separately, as monitoring.

A byte has one of two directions. Down are the bytes for which their receiver is charged: what comes down the tree of a
group, or is read from a window. All others are charged to their sender, and are up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpcopt.fabric.seam import Observer, Operation


@dataclass(slots=True)
class Account:
    """What one node sent and received: the rounds it took part in, messages, bytes; `down` is a part of the bytes."""

    rounds: int = 0
    messages: int = 0
    down: int = 0
    by_class: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))  # link class -> bytes
    by_edge: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))  # neighbour -> bytes sent to it

    @property
    def bytes(self) -> int:
        """All bytes, up and down."""
        return sum(self.by_class.values())

    @property
    def up(self) -> int:
        """The bytes that the node sent: up the tree of a group, to a neighbour, into a window or a mailbox."""
        return self.bytes - self.down

    def snapshot(self) -> dict[str, Any]:
        """Return the account as plain data."""
        return {
            "rounds": self.rounds,
            "messages": self.messages,
            "down": self.down,
            "by_class": dict(self.by_class),
            "targets": np.array(list(self.by_edge), dtype=np.int64),
            "bytes_to_targets": np.array(list(self.by_edge.values()), dtype=np.int64),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.rounds = int(snapshot["rounds"])
        self.messages = int(snapshot["messages"])
        self.down = int(snapshot["down"])
        self.by_class = defaultdict(int, {name: int(size) for name, size in snapshot["by_class"].items()})
        sizes = zip(snapshot["targets"].tolist(), snapshot["bytes_to_targets"].tolist(), strict=True)
        self.by_edge = defaultdict(int, sizes)


class Ledger(Observer):
    """A node's two accounts, for the solver and for monitoring; bookings go to `current`."""

    __slots__ = ("current", "monitored", "solver")

    def __init__(self) -> None:
        self.solver = Account()
        self.monitored = Account()
        self.current = self.solver

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        account = self.current
        if op.rounds:
            account.rounds += op.rounds
        if op.messages:
            size = op.bytes
            account.messages += op.messages
            account.down += op.received
            account.by_class[op.link_class] += size
            if op.by_edge:
                account.by_edge[op.peer] += size
            for peer in op.edges:
                account.by_edge[peer] += op.sent

    @contextmanager
    def monitoring(self) -> Iterator[None]:
        """Book everything inside on the monitoring account."""
        before, self.current = self.current, self.monitored
        try:
            yield
        finally:
            self.current = before

    def snapshot(self) -> dict[str, Any]:
        """Return both accounts as plain data."""
        return {"solver": self.solver.snapshot(), "monitored": self.monitored.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned."""
        self.solver.restore(snapshot["solver"])
        self.monitored.restore(snapshot["monitored"])
