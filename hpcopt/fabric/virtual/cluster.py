"""The virtual cluster: N nodes in one process, each a greenlet with its own clock.

Work advances a node's clock by flops / (its speed); a collective ends for each member when its messages have arrived
according to the network model. The arithmetic is real, sums are taken in rank order, and everything is deterministic,
so a thousand nodes can be studied and tested on a laptop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, TypeVar

import greenlet

from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.calibration import Calibration, coldness
from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.departures import NodesLost
from hpcopt.fabric.group import Group
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.meter import Work
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.network import Network
from hpcopt.fabric.node import Node
from hpcopt.fabric.seam import Observer, Operation
from hpcopt.fabric.solo import SoloGroup
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.timeline import COMPUTE
from hpcopt.fabric.virtual.board import SharedState, VirtualBoard
from hpcopt.fabric.virtual.events import DeadlockError, EventLoop
from hpcopt.fabric.virtual.group import Meeting, VirtualGroup
from hpcopt.fabric.virtual.mailbox import Mail, VirtualMailbox
from hpcopt.fabric.virtual.neighbourhood import Post, VirtualNeighbourhood
from hpcopt.fabric.virtual.survey import Surveyor, VirtualSurvey
from hpcopt.fabric.virtual.window import Memory, VirtualWindow
from hpcopt.fabric.window import Window

T = TypeVar("T")
FLOPS = 1e9


class VirtualNode(Node):
    """A node that is a greenlet; its clock is stopped during monitoring."""

    clock = "virtual"

    def __init__(self, cluster: VirtualCluster, rank: int, speed: float, conditions: Conditions) -> None:
        super().__init__(rank, cluster.size, cluster.seed, conditions)
        self.time = 0.0  # seconds
        self.delivered: Any = None  # the result of the collective in which this node waits
        self.waits_in = ""
        self.greenlet: greenlet.greenlet | None = None
        self._speed = speed  # relative to 1
        self._rate = None if cluster.flops is None else cluster.flops * speed  # flops per second, if all are alike
        self._gap = 0.0  # seconds of the solver's own code before each oracle call and each operation
        self._cold = 0.0  # further seconds after a call that has read more than a cache holds
        self._cluster = cluster
        self._made: Counter[Hashable] = Counter()  # number of shared objects created, by kind
        self.world = self.group(range(cluster.size))

    def _work(self, work: Work, _: float) -> None:
        begun = self.time
        if self._rate is not None:
            seconds = work.flops / self._rate
        else:
            assert self._cluster.calibration is not None
            seconds = self._cluster.calibration.work(work, self.meter.storage, self.meter.nbytes) / self._speed
        self.time += self._gap + seconds * self.pace.factor
        if self._cold:
            self.time += self._cold * coldness(work, self.meter.storage)
        if self.timeline is not None:
            self.timeline.span(COMPUTE, begun, self.time)

    def solving(self, solver: str, numbers: int, rows: int) -> None:
        calibration = self._cluster.calibration
        if calibration is not None:
            own = calibration.own_code(solver)
            self._gap = (own.event + own.number * numbers + own.row * rows) / self._speed
            self._cold = own.cold / self._speed
            self.seam.attach(OwnCode(self, self._gap))

    def now(self) -> float:
        return self.time

    def idle(self, seconds: float) -> None:
        self.time += seconds

    def die(self) -> None:
        self.pace.leave()

    def leave(self) -> None:
        self._cluster.loop.interrupt(NodesLost)

    def rejoin(self) -> None:
        self.world._barrier()  # takes time, and is no operation of the solver's

    def hang(self, seconds: float) -> None:
        self.time += seconds

    def stall(self, why: str) -> None:
        self._cluster.stalled.append(why)
        self._cluster.loop.block()

    def group(self, ranks: Sequence[int], link_class: str = "world") -> Group:
        members = ranks if isinstance(ranks, range) else tuple(ranks)  # N copies of N ranks would take long
        return VirtualGroup(self._cluster.meeting(members), self, self._cluster.network, link_class)

    def _neighbourhood(
        self, sources: Sequence[int], targets: Sequence[int], among: tuple[int, ...] | None, link_class: str
    ) -> Neighbourhood:
        cluster = self._cluster
        post = self._shared(("neighbourhood", among), Post)
        return VirtualNeighbourhood(self, cluster.network, cluster.loop, post, sources, targets, link_class)

    def _shared(self, kind: Hashable, make: Callable[[], T]) -> T:
        """Return the part shared by the nodes' next object of that kind; the first node to ask creates it.

        The kind of an object shared by some nodes only contains their ranks, so that they alone count it.
        """
        self._made[kind] += 1
        return self._cluster.shared((kind, self._made[kind]), make)

    def window(self, words: int, link_class: str = "one-sided", *, by_edge: bool = True) -> Window:
        memory = self._shared("window", lambda: Memory(self.size, words))
        return VirtualWindow(self, self._cluster.network, self._cluster.loop, memory, link_class, by_edge=by_edge)

    def board(self, machine: Machine) -> Board:
        cluster = self._cluster
        return VirtualBoard(self, self._shared("board", lambda: SharedState(machine, cluster.network, cluster.loop)))

    def mailbox(self) -> Mailbox:
        mail = self._shared("mailbox", Mail)
        return VirtualMailbox(self, self._cluster.network, self._cluster.loop, mail, self.world._barrier)

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
        if self.remaining is None:  # otherwise the messages on the links were of a former operation
            self._cluster.network.restore(self.rank, snapshot["links"])

    def settle(self) -> None:
        loop = self._cluster.loop
        if self.time > loop.now:
            loop.wake(greenlet.getcurrent(), self.time)
            loop.block()


class OwnCode(Observer):
    """Adds the time of the solver's own code before each operation."""

    def __init__(self, node: VirtualNode, gap: float) -> None:
        self._node = node
        self._gap = gap

    def begin(self, op: Operation) -> None:
        node = self._node
        if node.ledger.current is node.ledger.solver and op.kind not in {"round", "flush"}:
            node.time += self._gap


class VirtualCluster(Cluster):
    """N nodes in this process.

    Parameters
    ----------
    size
        Number of nodes.
    network
        The cost model of messages; default: 10 us and 1 GB/s per link, reductions along a tree.
    flops
        Floating-point operations per second of a node of speed 1; None: as in the calibration, if there is one, else
        1e9.
    calibration
        The speed of a real cluster's kernels and of solvers' own code; that of its links is in the network.
    speeds
        Relative speed of each node; default 1 for all.
    seed
        Seed of the nodes' random streams.
    holders
        Ranks of the nodes that hold rows, ascending; default all.
    """

    kind = "virtual"
    clock = "virtual"

    def __init__(
        self,
        size: int,
        network: Network | None = None,
        *,
        flops: float | None = None,
        calibration: Calibration | None = None,
        speeds: Sequence[float] | None = None,
        seed: int = 0,
        holders: Sequence[int] | None = None,
    ) -> None:
        self.size = size
        if holders is not None:
            self.holders = holders
        self.processes = SoloGroup()
        self.local_nodes = range(size)
        self.seed = seed
        self._model = network or Network()
        self.calibration = calibration
        self.flops = FLOPS if flops is None and calibration is None else flops
        self._speeds = speeds or [1.0] * size
        self._fresh(PLAIN)

    def _fresh(self, conditions: Conditions) -> None:
        """Reset for a new run: idle links, no meetings, no events."""
        self.network = self._model.idle(conditions.heterogeneity)
        self.loop = EventLoop()
        self.stalled: list[str] = []  # by injected faults, each in words
        self._meetings: dict[Sequence[int], Meeting] = {}
        self._things: dict[tuple[Hashable, int], Any] = {}

    def meeting(self, ranks: tuple[int, ...] | range) -> Meeting:
        """Return the meeting of these nodes; there is one per group."""
        if ranks not in self._meetings:
            self._meetings[ranks] = Meeting(ranks, self.loop)
        return self._meetings[ranks]

    def shared(self, name: tuple[Hashable, int], make: Callable[[], T]) -> T:
        """Return the object that the nodes share under `name`."""
        if name not in self._things:
            self._things[name] = make()
        thing: T = self._things[name]
        return thing

    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        self._fresh(conditions)
        nodes = [VirtualNode(self, rank, speed, conditions) for rank, speed in enumerate(self._speeds)]
        results: dict[int, T] = {}

        def start(node: VirtualNode) -> Callable[[], None]:
            def body() -> None:
                results[node.rank] = program(node)

            return body

        try:
            self.loop.run([start(node) for node in nodes], lambda i: f"node {i} in {nodes[i].waits_in}")
        except DeadlockError as error:
            if self.stalled:
                raise InputError(self.stalled[0]) from None
            left = [node.first_rank for node in nodes if node.leaving]
            if left:
                raise InputError(f"{error}; nodes that have left: {', '.join(map(str, left))}") from None
            raise
        return [results[rank] for rank in range(self.size)]

    @property
    def survivable(self) -> bool:
        return True

    def without(self, lost: Collection[int]) -> tuple[Cluster, tuple[int, ...]]:
        kept = tuple(rank for rank in range(self.size) if rank not in lost)
        holders = [place for place, rank in enumerate(kept) if rank in self.holders]
        smaller = VirtualCluster(
            len(kept),
            self._model.among(kept),
            flops=self.flops,
            calibration=self.calibration,
            speeds=[self._speeds[rank] for rank in kept],
            seed=self.seed,
            holders=holders,
        )
        return smaller, kept

    def led(self, work: Callable[[], object]) -> bool:
        work()
        return True

    def close(self) -> None:
        pass
