"""Groups of the virtual cluster: reductions add in rank order.

A collective ends for each member when its messages have arrived according to the network model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import greenlet
import numpy as np

from hpcopt.arrays import Array, Vector
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.group import Group
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.network import Network
from hpcopt.fabric.seam import OfTrees, Seam
from hpcopt.fabric.virtual.events import EventLoop

LONG = 2**14  # numbers; stacks of shorter vectors are reduced faster than these one by one
LARGE = 2**21  # numbers of a stack; a larger one is not worth its memory


class Member(Protocol):
    """The interface of nodes that a collective needs: rank, clock, and the operation they wait in."""

    rank: int
    ledger: Ledger
    seam: Seam
    time: float
    waits_in: str
    delivered: Any
    greenlet: greenlet.greenlet | None


class Meeting:
    """The part shared by the members of a group: who has joined the current operation, with which data."""

    def __init__(self, ranks: Sequence[int], loop: EventLoop) -> None:
        self.ranks = ranks
        self._loop = loop
        self._operation = ""
        self._came: dict[int, tuple[Member, Any]] = {}

    def join(self, node: Member, operation: str, brought: Any, end: Callable[[list[Any]], Ending]) -> Any:
        """Wait for all members; return this node's result.

        The last member to arrive calls `end` with the data of all members, in rank order.
        """
        if self._came and operation != self._operation:
            raise RuntimeError(f"node {node.rank} joins {operation}, the others of its group are in {self._operation}")
        self._operation = operation
        self._came[node.rank] = (node, brought)
        node.greenlet, node.waits_in = greenlet.getcurrent(), operation
        if len(self._came) == len(self.ranks):
            self._finish(end)
        self._loop.block()
        result, node.delivered = node.delivered, None
        return result

    def _finish(self, end: Callable[[list[Any]], Ending]) -> None:
        members = [self._came[rank] for rank in self.ranks]
        self._came = {}
        ending = end([brought for _, brought in members])
        measured = members[0][0].ledger.current is members[0][0].ledger.monitored
        clocks = [node.time for node, _ in members]
        times = clocks if measured else ending.times(clocks)
        last = max(clocks) if ending.root is None else clocks[ending.root]
        for (node, _), result, time in zip(members, ending.results, times, strict=True):
            for met in node.seam.meets:
                met(node.time, last, time)
            node.delivered, node.time = result, time
            assert node.greenlet is not None
            self._loop.wake(node.greenlet, time)


class Ending:
    """The end of a collective: a result for each member, and the end times as a function of the arrival times.

    `root` is the index of the member that all others wait for, if they don't wait for all members.
    """

    __slots__ = ("results", "root", "times")

    def __init__(
        self, results: Sequence[Any], times: Callable[[list[float]], list[float]], root: int | None = None
    ) -> None:
        self.results = results
        self.times = times
        self.root = root


class VirtualGroup(Group):
    """A member's view of a meeting: reductions add in rank order."""

    def __init__(self, meeting: Meeting, node: Member, network: Network, link_class: str) -> None:
        if node.rank not in meeting.ranks:
            raise ValueError(f"node {node.rank} is not a member of the group {list(meeting.ranks)}")
        super().__init__(meeting.ranks.index(node.rank), meeting.ranks, node.seam, link_class)
        self._meeting = meeting
        self._node = node
        self._network = network

    def _combine(self, operation: Literal["sum", "max"], ufunc: np.ufunc, x: Vector) -> Vector:
        ranks, network, size = self._meeting.ranks, self._network, x.nbytes

        def end(parts: list[Vector]) -> Ending:
            total = [_reduced(ufunc, parts)] * len(parts)
            return Ending(total, lambda times: network.meet(operation, ranks, times, (size, size)))

        result: Vector = self._meeting.join(self._node, operation, np.asarray(x), end)
        return result  # all members': they copy it when they continue, not all at once

    def _sum(self, x: Vector, out: Vector | None) -> Vector:
        total = self._combine("sum", np.add, x)
        if out is None:
            return total.copy()
        out[...] = total
        return out

    def _max(self, x: Vector) -> Vector:
        return self._combine("max", np.maximum, x).copy()

    def _reduce(self, x: Vector, root: int) -> Vector | None:
        ranks, network, size = self._meeting.ranks, self._network, x.nbytes

        def end(parts: list[Vector]) -> Ending:
            total = _reduced(np.add, parts)
            results = [total if place == root else None for place in range(len(parts))]
            return Ending(results, lambda times: network.to_root(ranks, times, size, root))

        result: Vector | None = self._meeting.join(self._node, f"reduce to {root}", np.asarray(x), end)
        return result

    def _broadcast(self, x: Vector, root: int) -> Vector:
        return self._sent_down("broadcast", x, root)

    def _broadcast_varying(self, x: Array, root: int) -> Array:
        return self._sent_down("broadcast_varying", x, root)

    def _sent_down(self, operation: OfTrees, x: Array, root: int) -> Array:
        ranks, network = self._meeting.ranks, self._network

        def end(parts: list[Vector]) -> Ending:
            size = parts[root].nbytes
            results = [parts[root].copy() for _ in parts]
            return Ending(results, lambda times: network.from_root(operation, ranks, times, size, root), root)

        result: Array = self._meeting.join(self._node, f"broadcast from {root}", np.array(x), end)
        return result

    def _gather(self, x: Vector, root: int) -> Vector | None:
        parts = self._sent_up("gather", x, root)
        return None if parts is None else np.stack(parts)

    def _gather_varying(self, x: Array, root: int) -> list[Array] | None:
        return self._sent_up("gather_varying", x, root)

    def _sent_up(self, operation: OfTrees, x: Array, root: int) -> list[Array] | None:
        ranks, network = self._meeting.ranks, self._network

        def end(parts: list[Array]) -> Ending:
            sizes = [part.nbytes for part in parts]
            results = [parts if place == root else None for place in range(len(parts))]
            return Ending(results, lambda times: network.gather(operation, ranks, times, sizes, root))

        result: list[Array] | None = self._meeting.join(self._node, f"gather to {root}", np.array(x), end)
        return result

    def _allgather(self, x: Array) -> Gathered:
        ranks, network = self._meeting.ranks, self._network

        def end(parts: list[Array]) -> Ending:
            total, largest = sum(p.nbytes for p in parts), max(p.nbytes for p in parts)
            for p in parts:
                p.flags.writeable = False  # shared by all members: a thousand copies would not fit in memory
            gathered = Gathered(parts)
            gathered.shared = len(parts) > 1
            results, sizes = [gathered] * len(parts), (largest, total)
            return Ending(results, lambda times: network.meet("allgather", ranks, times, sizes))

        gathered: Gathered = self._meeting.join(self._node, "allgather", np.array(x), end)
        return gathered

    def _alltoall(self, parts: Sequence[Array]) -> list[Array]:
        ranks, network = self._meeting.ranks, self._network

        def end(brought: list[list[Array]]) -> Ending:
            sizes = [[part.nbytes for part in parts] for parts in brought]
            results = [[parts[j].copy() for parts in brought] for j in range(len(brought))]
            return Ending(results, lambda times: network.alltoall(ranks, times, sizes))

        result: list[Array] = self._meeting.join(self._node, "alltoall", list(parts), end)
        return result

    def _barrier(self) -> None:
        ranks, network = self._meeting.ranks, self._network

        def end(parts: list[None]) -> Ending:
            return Ending(parts, lambda times: network.meet("barrier", ranks, times, (0, 0)))

        self._meeting.join(self._node, "barrier", None, end)


def _reduced(ufunc: np.ufunc, parts: list[Vector]) -> Vector:
    """Return the reduction of `parts`, all of one shape, in their order, a new array.

    Long vectors are not stacked: on many nodes that would be as much memory again as all of them have.
    """
    if parts[0].size < LONG and parts[0].size * len(parts) < LARGE:
        return np.asarray(ufunc.reduce(np.stack(parts), axis=0))
    total = parts[0].copy()
    for part in parts[1:]:
        ufunc(total, part, out=total)
    return total
