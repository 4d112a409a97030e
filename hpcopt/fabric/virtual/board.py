"""The board of the virtual cluster: one state in one place, with the delays of the protocol used on real ranks.

A transition costs as much as an uncontended one over one-sided operations: read HEAD, the state, and HEAD again, and
swap HEAD, in three round trips; then the mails are sent, with a round trip for their bodies and a message for the flag.
Events that reach the state at the same time form one batch, in the order of the nodes.
"""

from __future__ import annotations

import greenlet
import numpy as np

from hpcopt.arrays import Words
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.events import EventLoop
from hpcopt.fabric.virtual.window import Actor

ROUND_TRIPS = 3  # per transition
DELIVERY = 3  # latencies per mail: body, acknowledgement, flag


class SharedState:
    """The part shared by the nodes' boards."""

    def __init__(self, machine: Machine, network: Network, loop: EventLoop) -> None:
        self.machine = machine
        self.state = np.zeros(machine.words, dtype=np.int64)
        machine.begin(self.state)
        self.network = network
        self.loop = loop
        self._batches: dict[float, list[tuple[int, int, int, VirtualBoard]]] = {}
        self.boards: dict[int, VirtualBoard] = {}

    def post(self, kind: int, value: int, board: VirtualBoard) -> float:
        """Schedule an event; return the time at which it is applied."""
        network = self.network
        due = self.loop.now + 2 * ROUND_TRIPS * network.latency + self.state.nbytes / network.bandwidth
        if due not in self._batches:
            self._batches[due] = []
            self.loop.at(due, lambda: self._work(due))
        self._batches[due].append((board.rank, kind, value, board))
        return due

    def _work(self, due: float) -> None:
        batch = sorted(self._batches.pop(due), key=lambda event: event[0])
        events = np.array([(kind, rank, value) for rank, kind, value, _ in batch], dtype=np.int64)
        sender = batch[0][3]
        for target, words in self.machine.apply(self.state, events):
            sender.send(self.boards[target], words, due + DELIVERY * self.network.latency)


class VirtualBoard(Board):
    """A node's access to the board."""

    def __init__(self, node: Actor, shared: SharedState) -> None:
        super().__init__(node.seam)
        self.rank = node.rank
        self._node = node
        self._shared = shared
        self._mails: list[Words] = []
        self._sleeper: greenlet.greenlet | None = None
        shared.boards[node.rank] = self

    def _post(self, kind: int, value: int) -> None:
        node, shared = self._node, self._shared
        node.settle()
        if node.size > 1:
            self._charge(ROUND_TRIPS + 1, 8 * ROUND_TRIPS, shared.state.nbytes)
        shared.loop.wake(greenlet.getcurrent(), shared.post(kind, value, self))
        node.waits_in = "a transition of the board"
        shared.loop.block()
        node.time = shared.loop.now

    def _charge(self, messages: int, sent: int, received: int = 0) -> None:
        """Add to this node's charges for the event being posted."""
        self._op.messages += messages
        self._op.bytes += sent + received
        self._op.received += received

    def send(self, other: VirtualBoard, words: Words, arrival: float) -> None:
        """Send a mail that arrives at `arrival`; it is charged to the event that this node is posting."""
        if other is not self:
            self._charge(2, words.nbytes + 8)
        self._shared.loop.at(arrival, lambda: other.receive(words))

    def receive(self, words: Words) -> None:
        """Put a mail into this node's mailbox."""
        self._mails.append(words)
        if self._sleeper is not None:
            sleeper, self._sleeper = self._sleeper, None
            self._shared.loop.wake(sleeper, self._shared.loop.now)

    def _wait(self) -> Words:
        node = self._node
        node.settle()
        if not self._mails:
            self._sleeper = greenlet.getcurrent()
            node.waits_in = "a wait for mail from the board"
            self._shared.loop.block()
            node.time = self._shared.loop.now
        return self._mails.pop(0)
