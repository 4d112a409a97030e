"""Mailboxes of the virtual cluster: a message is in the target's mailbox from its arrival time on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import greenlet

from hpcopt.arrays import Bytes
from hpcopt.fabric.mailbox import Mailbox, Messages
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.events import EventLoop
from hpcopt.fabric.virtual.window import Actor


class Mail:
    """The part shared by the nodes' mailboxes."""

    def __init__(self) -> None:
        self.boxes: dict[int, VirtualMailbox] = {}
        self.early: defaultdict[int, list[tuple[int, Bytes]]] = defaultdict(list)
        self.under_way: defaultdict[int, int] = defaultdict(int)  # target -> messages in flight


class VirtualMailbox(Mailbox):
    """A node's mailbox."""

    def __init__(self, node: Actor, network: Network, loop: EventLoop, mail: Mail, barrier: Callable[[], None]) -> None:
        super().__init__(node.seam)
        self._node = node
        self._network = network
        self._loop = loop
        self._mail = mail
        self._barrier = barrier
        self._left = 0.0  # when the last message leaves
        self._held = mail.early.pop(node.rank, [])
        self._sleeper: greenlet.greenlet | None = None
        mail.boxes[node.rank] = self

    def _send(self, target: int, message: Bytes, leaves: float) -> None:  # noqa: ARG002  (a wall clock's)
        node = self._node
        node.settle()
        sent = message.copy()
        sent.flags.writeable = False
        self._mail.under_way[target] += 1
        arrival = self._network.send(node.rank, target, message.nbytes, self._loop.now)
        self._left = max(self._left, arrival - self._network.latency_between(node.rank, target))
        self._loop.at(arrival, lambda: self._deliver(target, sent))

    def _flush(self) -> None:
        self._node.time = max(self._node.time, self._left)
        self._node.settle()

    def _deliver(self, target: int, message: Bytes) -> None:
        self._mail.under_way[target] -= 1
        box = self._mail.boxes.get(target)
        if box is None:
            self._mail.early[target].append((self._node.rank, message))
        else:
            box.receive(self._node.rank, message)

    def receive(self, source: int, message: Bytes) -> None:
        """Put a message into the mailbox."""
        self._held.append((source, message))
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            self._loop.wake(sleeper, self._loop.now)

    def _take(self) -> Messages:
        self._node.settle()
        held, self._held = self._held, []
        return held

    def _wait(self) -> None:
        node = self._node
        node.settle()
        if not self._held:
            self._sleeper = greenlet.getcurrent()
            node.waits_in = "a wait for messages"
            self._loop.block()
            node.time = self._loop.now

    def _drain(self) -> Messages:
        self._barrier()
        held = self._take()
        while self._mail.under_way[self._node.rank]:
            self._wait()
            held += self._take()
        return held
