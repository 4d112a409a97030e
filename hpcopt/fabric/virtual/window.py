"""Windows of the virtual cluster: each operation is a sequence of events in virtual time, with the network's delays.

A `put` takes effect when its message arrives; a `get` reads the target's memory when the request arrives there, one
latency later, and completes when the answer arrives; atomics take a round trip. All events occur in the order of
virtual time, so that runs are reproducible.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Protocol

import greenlet
import numpy as np

from hpcopt.arrays import Words
from hpcopt.fabric.network import Network
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.virtual.events import EventLoop
from hpcopt.fabric.window import Eights, Op, Window

Sleeper = tuple[greenlet.greenlet, int, Callable[[int], bool]]
"""A waiting greenlet, the word it waits for, and the condition on that word."""


class Actor(Protocol):
    """The interface of a node that one-sided operations need: its rank and its clock."""

    rank: int
    size: int
    seam: Seam
    time: float
    waits_in: str

    def settle(self) -> None:
        """Let the other nodes catch up with this node's clock."""


class Memory:
    """All nodes' parts of one window, and the nodes that wait for a word of their own part to change."""

    def __init__(self, size: int, words: int) -> None:
        self.parts = [np.zeros(words, dtype=np.int64) for _ in range(size)]
        self.sleepers: dict[int, Sleeper] = {}


class VirtualWindow(Window):
    """A node's side of the window."""

    def __init__(
        self, node: Actor, network: Network, loop: EventLoop, memory: Memory, link_class: str, *, by_edge: bool
    ) -> None:
        super().__init__(len(memory.parts[0]), node.seam, node.rank, link_class, by_edge=by_edge)
        self.local = memory.parts[node.rank]
        self._node = node
        self._network = network
        self._loop = loop
        self._memory = memory
        self._under_way: defaultdict[int, int] = defaultdict(int)  # target -> operations not completed
        self._flushing: tuple[greenlet.greenlet, int] | None = None

    def _put(self, x: Eights, target: int, at: int) -> None:
        def write(there: Words, data: Words) -> None:
            there[at : at + len(data)] = data

        self._send(x, target, write)

    def _accumulate(self, x: Eights, target: int, at: int) -> None:
        def add(there: Words, data: Words) -> None:
            part = there[at : at + len(data)].view(x.dtype)
            part += data.view(x.dtype)

        self._send(x, target, add)

    def _send(self, x: Eights, target: int, write: Callable[[Words, Words], None]) -> None:
        self._node.settle()
        data = np.array(x).view(np.int64)
        there, loop = self._memory.parts[target], self._loop
        if target == self.rank:
            write(there, data)
            return

        def land() -> None:
            write(there, data)
            self._changed(target)
            loop.at(loop.now + self._network.latency_between(target, self.rank), lambda: self._done(target))

        self._under_way[target] += 1
        loop.at(self._network.send(self.rank, target, data.nbytes, loop.now), land)

    def _get(self, target: int, at: int, out: Eights) -> None:
        self._node.settle()
        there, words, loop = self._memory.parts[target], out.view(np.int64), self._loop
        if target == self.rank:
            words[:] = there[at : at + len(words)]
            return

        def answer() -> None:
            words[:] = there[at : at + len(words)]  # may not be read before the flush
            arrival = self._network.send(target, self.rank, words.nbytes, loop.now)
            loop.at(arrival, lambda: self._done(target))

        self._under_way[target] += 1
        loop.at(loop.now + self._network.latency_between(self.rank, target), answer)

    def _done(self, target: int) -> None:
        self._under_way[target] -= 1
        if self._flushing is not None and self._flushing[1] == target and not self._under_way[target]:
            sleeper, self._flushing = self._flushing[0], None
            self._loop.wake(sleeper, self._loop.now)

    def _flush(self, target: int) -> None:
        node = self._node
        node.settle()
        if self._under_way[target]:
            self._flushing = (greenlet.getcurrent(), target)
            node.waits_in = "a flush"
            self._loop.block()
            node.time = self._loop.now

    def _fetch_and_op(self, value: int, target: int, at: int, op: Op) -> int:
        def change(word: int) -> int:
            return word + value if op == "sum" else value if op == "replace" else word

        return self._atomic(target, at, change)

    def _compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        return self._atomic(target, at, lambda word: desired if word == expected else word)

    def _atomic(self, target: int, at: int, change: Callable[[int], int]) -> int:
        node, loop = self._node, self._loop
        node.settle()
        if target == self.rank:
            return self._change(target, at, change)
        before = 0
        sleeper = greenlet.getcurrent()

        def there() -> None:
            nonlocal before
            before = self._change(target, at, change)
            loop.wake(sleeper, loop.now + self._network.latency_between(target, self.rank))

        loop.at(loop.now + self._network.latency_between(self.rank, target), there)
        node.waits_in = "an atomic operation"
        loop.block()
        node.time = loop.now
        return before

    def _change(self, owner: int, at: int, change: Callable[[int], int]) -> int:
        part = self._memory.parts[owner]
        before = int(part[at])
        part[at] = change(before)
        self._changed(owner)
        return before

    def _changed(self, owner: int) -> None:
        """Wake the owner if the condition it waits for holds."""
        waiting = self._memory.sleepers.get(owner)
        if waiting is not None and waiting[2](int(self._memory.parts[owner][waiting[1]])):
            del self._memory.sleepers[owner]
            self._loop.wake(waiting[0], self._loop.now)

    def sync(self) -> None:
        self._node.settle()

    def _wait(self, at: int, until: Callable[[int], bool], seconds: float) -> int:
        node = self._node
        node.settle()
        end = node.time + seconds
        while not until(int(self.local[at])) and node.time < end:
            sleeper = self._memory.sleepers[self.rank] = (greenlet.getcurrent(), at, until)
            if seconds < math.inf:
                self._loop.at(end, partial(self._give_up, sleeper))
            node.waits_in = "a wait for a word of its window"
            self._loop.block()
            node.time = self._loop.now
        return int(self.local[at])

    def _give_up(self, sleeper: Sleeper) -> None:
        """Wake the owner if it is still waiting."""
        if self._memory.sleepers.get(self.rank) is sleeper:
            del self._memory.sleepers[self.rank]
            self._loop.wake(sleeper[0], self._loop.now)
