"""Neighbourhoods of the virtual cluster: a message waits in the target's inbox until the target reads it.

A node continues when the messages of its own sources have arrived, by the network model of each link. So a slow node
delays its neighbours first, and other nodes only through them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import greenlet
import numpy as np

from hpcopt.arrays import Bytes
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.network import Network
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.virtual.events import EventLoop


class Waiter(Protocol):
    """The interface of a node that an exchange needs: its rank and its clock."""

    rank: int
    seam: Seam
    time: float
    waits_in: str


class Inbox:
    """The unread messages to one node: one queue per source."""

    def __init__(self, sources: Sequence[int]) -> None:
        self._queues: dict[int, deque[tuple[float, float, Bytes]]] = {source: deque() for source in sources}
        self._empty = len(self._queues)
        self._sleeper: tuple[greenlet.greenlet, float] | None = None

    def put(self, source: int, sent: float, arrival: float, message: Bytes, loop: EventLoop) -> None:
        """Put a message into its queue; the owner continues if this was the last one that it waited for."""
        queue = self._queues[source]
        self._empty -= not queue
        queue.append((arrival, sent, message))
        if self._sleeper is not None and not self._empty:
            sleeper, since = self._sleeper
            self._sleeper = None
            loop.wake(sleeper, self._ready(since))

    def take(self, at: float, loop: EventLoop) -> tuple[float, float, list[Bytes]]:
        """Return when the last of the sources' next messages was sent, when all have arrived, and the messages.

        `at` is when the owner called.
        """
        if self._empty:
            self._sleeper = (greenlet.getcurrent(), at)
            loop.block()
        ready = self._ready(at)
        letters = [queue.popleft() for queue in self._queues.values()]
        self._empty = sum(not queue for queue in self._queues.values())
        return max((sent for _, sent, _ in letters), default=at), ready, [message for _, _, message in letters]

    def _ready(self, at: float) -> float:
        return max([at, *(queue[0][0] for queue in self._queues.values())])


class Post:
    """The inboxes of one neighbourhood's nodes; a message may be sent before its target has opened its inbox."""

    def __init__(self) -> None:
        self._inboxes: dict[int, Inbox] = {}
        self._early: dict[int, list[tuple[int, float, float, Bytes]]] = {}

    def open(self, rank: int, sources: Sequence[int], loop: EventLoop) -> Inbox:
        """Return the inbox of node `rank`, with the messages received so far."""
        inbox = self._inboxes[rank] = Inbox(sources)
        for source, sent, arrival, message in self._early.pop(rank, []):
            inbox.put(source, sent, arrival, message, loop)
        return inbox

    def send(self, source: int, target: int, times: tuple[float, float], message: Bytes, loop: EventLoop) -> None:
        """Deliver a message; `times` are when it was sent and when it arrives."""
        inbox = self._inboxes.get(target)
        if inbox is None:
            self._early.setdefault(target, []).append((source, *times, message))
        else:
            inbox.put(source, *times, message, loop)


class VirtualNeighbourhood(Neighbourhood):
    """A node's links."""

    def __init__(
        self,
        node: Waiter,
        network: Network,
        loop: EventLoop,
        post: Post,
        sources: Sequence[int],
        targets: Sequence[int],
        link_class: str,
    ) -> None:
        super().__init__(sources, targets, node.seam, link_class)
        self._node = node
        self._network = network
        self._loop = loop
        self._post = post
        self._inbox = post.open(node.rank, self.sources, loop)

    def _exchange(self, message: Bytes) -> list[Bytes]:
        node, size = self._node, message.nbytes
        sent = message.copy()  # one copy for all targets: the sender may overwrite `message` before they have read it
        sent.flags.writeable = False
        arrivals = self._network.exchange(node.rank, self.targets, size, node.time)
        for target, arrival in zip(self.targets, arrivals, strict=True):
            self._post.send(node.rank, target, (node.time, arrival), sent, self._loop)
        node.waits_in = "an exchange with its neighbours"
        came = node.time
        last, node.time, messages = self._inbox.take(came, self._loop)
        for met in node.seam.meets:
            met(came, last, node.time)
        return messages

    def _exchange_varying(self, message: Bytes) -> list[Bytes]:
        self._exchange(np.array([message.nbytes], dtype=np.int64).view(np.uint8))
        return self._exchange(message)
