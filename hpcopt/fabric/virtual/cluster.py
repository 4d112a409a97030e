"""The virtual cluster: N nodes in one process, each a greenlet with a clock of its own.

Work advances a node's clock by flops / (its speed); a collective ends for each member when its messages have come,
by the network's model. The arithmetic is the real one, sums are taken in rank order, and everything is
deterministic, so a thousand nodes can be studied, and tested, on a laptop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import greenlet
import numpy as np

from hpcopt.arrays import Array, Vector
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.interface import Cluster, Group, Neighbourhood, Node
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.lone import LoneGroup
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.network import Network
from hpcopt.fabric.streams import Draws
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.timeline import COMPUTE
from hpcopt.fabric.virtual.board import SharedState, VirtualBoard
from hpcopt.fabric.virtual.events import EventLoop
from hpcopt.fabric.virtual.mailbox import Mail, VirtualMailbox
from hpcopt.fabric.virtual.neighbourhood import Post, VirtualNeighbourhood
from hpcopt.fabric.virtual.survey import Surveyor, VirtualSurvey
from hpcopt.fabric.virtual.window import Memory, VirtualWindow
from hpcopt.fabric.window import Window

T = TypeVar("T")


class VirtualNode(Node):
    """One greenlet's node: its clock stands still while it is measured."""

    clock = "virtual"

    def __init__(self, cluster: VirtualCluster, rank: int, speed: float, conditions: Conditions) -> None:
        self.rank, self.size = rank, cluster.size
        self.mixing = conditions.mixing
        self._seed = cluster.seed
        self.ledger = Ledger()
        self.meter = Meter(self._work)
        self._draws = Draws()
        self.time = 0.0  # seconds
        self.pace = conditions.heterogeneity.pace(rank, cluster.size)
        self.delivered: Any = None  # the result of the collective this node waits in
        self.waits_in = ""
        self.greenlet: greenlet.greenlet | None = None
        self._speed = speed  # flops a second
        self._cluster = cluster
        self._made: Counter[str] = Counter()  # how many of each thing that nodes share
        self.world = self.group(range(cluster.size))

    def _work(self, flops: float, seconds: float) -> None:  # noqa: ARG002
        begun = self.time
        self.time += flops / self._speed * self.pace.factor
        if self.timeline is not None:
            self.timeline.span(COMPUTE, begun, self.time)

    def now(self) -> float:
        return self.time

    def idle(self, seconds: float) -> None:
        self.time += seconds

    def group(self, ranks: Sequence[int]) -> Group:
        return VirtualGroup(self._cluster.meeting(tuple(ranks)), self)

    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        post = self._shared("neighbourhood", Post)
        return VirtualNeighbourhood(self, self._cluster.network, self._cluster.loop, post, sources, targets)

    def _shared(self, kind: str, make: Callable[[], T]) -> T:
        """Return what the nodes' next thing of that kind has in common, made by the first who asks."""
        self._made[kind] += 1
        return self._cluster.shared((kind, self._made[kind]), make)

    def _window(self, words: int, link_class: str, *, by_edge: bool) -> Window:
        memory = self._shared("window", lambda: Memory(self.size, words))
        return VirtualWindow(self, self._cluster.network, self._cluster.loop, memory, link_class, by_edge=by_edge)

    def _board(self, machine: Machine) -> Board:
        cluster = self._cluster
        return VirtualBoard(self, self._shared("board", lambda: SharedState(machine, cluster.network, cluster.loop)))

    def _mailbox(self) -> Mailbox:
        mail = self._shared("mailbox", Mail)
        return VirtualMailbox(self, self._cluster.network, self._cluster.loop, mail, self.world.barrier)

    def survey(
        self, stages: Sequence[Stage], done: Callable[[Vector], None], *, steps: int = 0, seconds: float | None = None
    ) -> Survey:
        surveyor = self._shared("survey", lambda: Surveyor(self.size, self._cluster.loop, steps, seconds))
        return VirtualSurvey(self.rank, surveyor, stages, done)

    def snapshot(self) -> dict[str, Any]:
        return {**super().snapshot(), "links": self._cluster.network.snapshot(self.rank)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        super().restore(snapshot)
        self.time = float(snapshot["clock"])
        self._cluster.network.restore(self.rank, snapshot["links"])

    def settle(self) -> None:
        loop = self._cluster.loop
        if self.time > loop.now:
            loop.wake(greenlet.getcurrent(), self.time)
            loop.block()


class Meeting:
    """What the members of a group share: who has come to the operation under way, and with what."""

    def __init__(self, cluster: VirtualCluster, ranks: tuple[int, ...]) -> None:
        self.ranks = ranks
        self._cluster = cluster
        self._operation = ""
        self._came: dict[int, tuple[VirtualNode, Any]] = {}

    def join(self, node: VirtualNode, operation: str, brought: Any, end: Callable[[list[Any]], Ending]) -> Any:
        """Wait for all members; return this node's result.

        The last member to come calls `end` with what each has brought, in rank order.
        """
        if self._came and operation != self._operation:
            raise RuntimeError(f"node {node.rank} joins {operation}, the others of its group are in {self._operation}")
        self._operation = operation
        self._came[node.rank] = (node, brought)
        node.greenlet, node.waits_in = greenlet.getcurrent(), operation
        if len(self._came) == len(self.ranks):
            self._finish(end)
        self._cluster.loop.block()
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
            if node.timeline is not None:
                node.timeline.meet(node.time, last, time)
            node.delivered, node.time = result, time
            assert node.greenlet is not None
            self._cluster.loop.wake(node.greenlet, time)


class Ending:
    """How a collective ends: a result for each member, and when, given when each came.

    `root` is the place of the member that all others wait for, where they do not wait for everybody.
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

    def __init__(self, meeting: Meeting, node: VirtualNode) -> None:
        if node.rank not in meeting.ranks:
            raise ValueError(f"node {node.rank} is no member of the group {list(meeting.ranks)}")
        super().__init__(meeting.ranks.index(node.rank), len(meeting.ranks), node.ledger)
        self._meeting = meeting
        self._node = node
        self._network = node._cluster.network

    def _reduce(self, operation: str, ufunc: np.ufunc, x: Vector) -> Vector:
        self._book(x.nbytes, x.nbytes)
        ranks, network, size = self._meeting.ranks, self._network, x.nbytes

        def end(parts: list[Vector]) -> Ending:
            total = ufunc.reduce(np.stack(parts), axis=0)
            results = [total.copy() for _ in parts]
            return Ending(results, lambda times: network.down(ranks, network.up(ranks, times, size), size))

        result: Vector = self._meeting.join(self._node, operation, np.array(x), end)
        return result

    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        total = self._reduce("sum", np.add, x)
        if out is None:
            return total
        out[...] = total
        return out

    def max(self, x: Vector) -> Vector:
        return self._reduce("max", np.maximum, x)

    def _rooted(self, root: int) -> tuple[int, ...]:
        """Return the ranks with the root's first."""
        ranks = self._meeting.ranks
        return (ranks[root], *ranks[:root], *ranks[root + 1 :])

    def broadcast(self, x: Vector, root: int = 0) -> Vector:
        self._book(0, x.nbytes)
        network, size = self._network, x.nbytes

        def end(parts: list[Vector]) -> Ending:
            def times(clocks: list[float]) -> list[float]:
                first, *others = network.down(
                    self._rooted(root), [clocks[root], *clocks[:root], *clocks[root + 1 :]], size
                )
                return [*others[:root], first, *others[root:]]

            return Ending([parts[root].copy() for _ in parts], times, root)

        result: Vector = self._meeting.join(self._node, f"broadcast from {root}", np.array(x), end)
        return result

    def gather(self, x: Vector, root: int = 0) -> Vector | None:
        self._book(x.nbytes, 0)
        ranks, network, size = self._meeting.ranks, self._network, x.nbytes

        def end(parts: list[Vector]) -> Ending:
            def times(clocks: list[float]) -> list[float]:
                arrivals = [network.send(r, ranks[root], size, t) for r, t in zip(ranks, clocks, strict=True)]
                return [max(arrivals) if place == root else t for place, t in enumerate(clocks)]

            return Ending([np.stack(parts) if place == root else None for place in range(len(parts))], times)

        result: Vector | None = self._meeting.join(self._node, f"gather to {root}", np.array(x), end)
        return result

    def allgather(self, x: Array) -> list[Array]:
        ranks, network = self._meeting.ranks, self._network

        def end(parts: list[Array]) -> Ending:
            total, largest = sum(p.nbytes for p in parts), max(p.nbytes for p in parts)
            for p in parts:
                p.flags.writeable = False  # all members get the same arrays: a thousand copies each would not fit
            results = [list(parts) for _ in parts]
            return Ending(results, lambda times: network.down(ranks, network.up(ranks, times, largest), total))

        parts: list[Array] = self._meeting.join(self._node, "allgather", np.array(x), end)
        self._book(x.nbytes, sum(p.nbytes for p in parts))
        return parts

    def alltoall(self, parts: Sequence[Array]) -> list[Array]:
        ranks, network = self._meeting.ranks, self._network
        self._ledger.current.book(
            self.link_class,
            self.size - 1,
            sum(part.nbytes for place, part in enumerate(parts) if place != self.rank),
        )

        def end(brought: list[list[Array]]) -> Ending:
            def times(clocks: list[float]) -> list[float]:
                ends = list(clocks)
                for i, source in enumerate(ranks):
                    for j, target in enumerate(ranks):
                        if i != j:
                            ends[j] = max(ends[j], network.send(source, target, brought[i][j].nbytes, clocks[i]))
                return ends

            return Ending([[parts[j].copy() for parts in brought] for j in range(len(brought))], times)

        result: list[Array] = self._meeting.join(self._node, "alltoall", list(parts), end)
        return result

    def barrier(self) -> None:
        ranks, network = self._meeting.ranks, self._network

        def end(parts: list[None]) -> Ending:
            return Ending(parts, lambda times: network.down(ranks, network.up(ranks, times, 0), 0))

        self._meeting.join(self._node, "barrier", None, end)


class VirtualCluster(Cluster):
    """N nodes in this process.

    Parameters
    ----------
    size
        Number of nodes.
    network
        What messages cost; default 10 us and 1 GB/s a link, reductions along a tree.
    flops
        Floating-point operations a second of a node of speed 1.
    speeds
        Relative speed of each node; default 1 for all.
    seed
        Keys the nodes' random streams.
    """

    kind = "virtual"
    clock = "virtual"

    def __init__(
        self,
        size: int,
        network: Network | None = None,
        *,
        flops: float = 1e9,
        speeds: Sequence[float] | None = None,
        seed: int = 0,
    ) -> None:
        self.size = size
        self.processes = LoneGroup()
        self.local_nodes = range(size)
        self.seed = seed
        self._model = network or Network()
        self._rates = [flops * s for s in (speeds or [1.0] * size)]
        self._fresh(PLAIN)

    def _fresh(self, conditions: Conditions) -> None:
        """Forget the run before: idle links, no meetings, no events."""
        self.network = self._model.idle(conditions.heterogeneity)
        self.loop = EventLoop()
        self._meetings: dict[tuple[int, ...], Meeting] = {}
        self._things: dict[tuple[str, int], Any] = {}

    def meeting(self, ranks: tuple[int, ...]) -> Meeting:
        """Return the one meeting of these nodes."""
        return self._meetings.setdefault(ranks, Meeting(self, ranks))

    def shared(self, name: tuple[str, int], make: Callable[[], T]) -> T:
        """Return what the nodes have in common under `name`."""
        if name not in self._things:
            self._things[name] = make()
        thing: T = self._things[name]
        return thing

    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        self._fresh(conditions)
        nodes = [VirtualNode(self, rank, rate, conditions) for rank, rate in enumerate(self._rates)]
        results: dict[int, T] = {}

        def start(node: VirtualNode) -> Callable[[], None]:
            def body() -> None:
                results[node.rank] = program(node)

            return body

        self.loop.run([start(node) for node in nodes], lambda i: f"node {i} in {nodes[i].waits_in}")
        return [results[rank] for rank in range(self.size)]

    def led(self, work: Callable[[], object]) -> bool:
        work()
        return True

    def close(self) -> None:
        pass
