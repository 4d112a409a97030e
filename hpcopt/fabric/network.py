"""The cost of messages in virtual time: latency + size / bandwidth, first in, first out on each link.

A collective consists of messages along a binomial tree, or of messages to and from one node to which all others are
linked (a star, as with a parameter server or object storage):

    tree, 5 nodes     0 <- 1, 2 <- 3, then 0 <- 2, then 0 <- 4     at most 2 log2(K) messages one after another
    star              0 <- 1, 0 <- 2, 0 <- 3, 0 <- 4              2 messages one after another, whatever K is

Links are full-duplex. Messages on different links share:

    pairs    nothing: each pair of nodes has its own cable
    ports    each node has one output and one input port, each as fast as the message's link: messages that leave a node
             are sent one after another, and so are those that arrive at one (they wait in the switch, not at their
             sender)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, TypeVar

import numpy as np

from hpcopt.annotations import AtLeastZero, Positive, check_types
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.seam import OfGroups

T = TypeVar("T")

KEPT = 256  # spans that a port remembers


class Port:
    """The times at which a node's port is busy: a message gets the first sufficiently long gap from its time on.

    Messages aren't entered in the order of their times, since a node may run ahead of the others until it has to wait
    for one: its late messages must not delay earlier messages of others that are entered afterwards.
    """

    __slots__ = ("_begins", "_ends", "_forgotten")

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        self._forgotten = 0.0  # spans before this time are forgotten, so no message is entered there

    def take(self, ready: float, seconds: float) -> float:
        """Return when the transfer of a message starts that is ready at `ready` and takes `seconds`."""
        begin = max(ready, self._forgotten)
        place = bisect_right(self._ends, begin)
        while place < len(self._begins) and self._begins[place] < begin + seconds:
            begin = max(begin, self._ends[place])
            place += 1
        if seconds > 0.0:
            self._enter(place, begin, begin + seconds)
        return begin

    def _enter(self, place: int, begin: float, end: float) -> None:
        if place and self._ends[place - 1] == begin:
            self._ends[place - 1] = end
            return
        self._begins.insert(place, begin)
        self._ends.insert(place, end)
        if len(self._begins) > KEPT:
            self._begins.pop(0)
            self._forgotten = self._ends.pop(0)

    def snapshot(self) -> dict[str, Any]:
        """Return the times as plain data."""
        return {"begins": np.array(self._begins), "ends": np.array(self._ends), "forgotten": self._forgotten}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restore the times that `snapshot` returned."""
        self._begins, self._ends = snapshot["begins"].tolist(), snapshot["ends"].tolist()
        self._forgotten = float(snapshot["forgotten"])


@dataclass(frozen=True)
class Link:
    """The cost of a message between two nodes.

    Parameters
    ----------
    latency
        Seconds per message.
    bandwidth
        Bytes per second.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    latency: AtLeastZero = 1e-5
    bandwidth: Positive = 1e9

    def __post_init__(self) -> None:
        check_types(self)


def between(of: Callable[[int, int], T], nodes: Sequence[int] | None) -> Callable[[int, int], T]:
    """Return a function of two nodes as one of their places in `nodes`; None: the same."""
    return of if nodes is None else lambda a, b: of(nodes[a], nodes[b])


@dataclass
class Network:
    """Links between nodes, and the arrival times of messages.

    Parameters
    ----------
    latency
        Seconds per message.
    bandwidth
        Bytes per second on a link.
    collective
        "tree" or "star", see above.
    links
        "pairs" or "ports", see above.
    factor
        Returns the factor on the time per byte between two nodes; default 1.
    route
        Returns latency and bandwidth from one node to another; default those above for all pairs. Boards always use
        those above.
    nodes
        Of a network whose other nodes have left: the numbers that its nodes had before; None: these have not changed.
    """

    latency: float = 1e-5
    bandwidth: float = 1e9
    collective: Literal["tree", "star"] = "tree"
    links: Literal["pairs", "ports"] = "pairs"
    factor: Callable[[int, int], float] | None = None
    route: Callable[[int, int], Link] | None = None
    nodes: tuple[int, ...] | None = None
    _free: dict[int, dict[int, float]] = field(init=False, default_factory=dict)  # source, target -> when it is free
    _out: dict[int, Port] = field(init=False, default_factory=dict)
    _in: dict[int, Port] = field(init=False, default_factory=dict)

    def idle(self, heterogeneity: Heterogeneity) -> Network:
        """Return the same network without messages, with the slow links of `heterogeneity`."""
        factor = cache(between(heterogeneity.link_factor, self.nodes)) if heterogeneity.slow_links else None
        return replace(self, factor=factor, route=None if self.route is None else cache(self.route))

    def among(self, nodes: Sequence[int]) -> Network:
        """Return the network of some of the nodes, which are renumbered in that order."""
        route = None if self.route is None else between(self.route, nodes)
        before = nodes if self.nodes is None else [self.nodes[node] for node in nodes]
        return replace(self, route=route, nodes=tuple(before))

    def latency_between(self, source: int, target: int) -> float:
        """Return the seconds per message from one node to another."""
        return self.latency if self.route is None else self.route(source, target).latency

    def send(self, source: int, target: int, size: int, at: float) -> float:
        """Return when a message of `size` bytes, ready at time `at`, arrives; messages on a link don't overtake.

        Messages to the node itself arrive at once.
        """
        if source == target:
            return at
        if self.route is None:
            latency, seconds = self.latency, size / self.bandwidth
        else:
            between = self.route(source, target)
            latency, seconds = between.latency, size / between.bandwidth
        if self.factor is not None:
            seconds *= self.factor(source, target)
        links = self._free.get(source)
        if links is None:
            links = self._free[source] = {}
        free = links.get(target, 0.0)
        if self.links == "pairs":
            left = links[target] = max(at, free) + seconds
            return left + latency
        begun = self._out.setdefault(source, Port()).take(at, seconds)
        came = max(begun + latency, free)  # arrival of the first byte, after the last byte of the previous message
        arrived = links[target] = self._in.setdefault(target, Port()).take(came, seconds) + seconds
        return arrived

    def snapshot(self, node: int) -> dict[str, Any]:
        """Return the state of a node's ports and of its outgoing links as plain data."""
        free = self._free.get(node, {})
        return {
            "targets": np.array(list(free), dtype=np.int64),
            "free": np.array(list(free.values())),
            "out": self._out.get(node, Port()).snapshot(),
            "in": self._in.get(node, Port()).snapshot(),
        }

    def restore(self, node: int, snapshot: dict[str, Any]) -> None:
        """Restore the state that `snapshot` returned for that node."""
        self._free[node] = dict(zip(snapshot["targets"].tolist(), snapshot["free"].tolist(), strict=True))
        self._out.setdefault(node, Port()).restore(snapshot["out"])
        self._in.setdefault(node, Port()).restore(snapshot["in"])

    def _hops(self, count: int) -> list[tuple[int, int]]:
        """Return (child, parent) places in the order in which a reduction to place 0 uses them."""
        if self.collective == "star":
            return [(child, 0) for child in range(1, count)]
        hops = []
        reach = 1
        while reach < count:
            hops += [(child, child - reach) for child in range(reach, count, 2 * reach)]
            reach *= 2
        return hops

    def meet(self, kind: OfGroups, ranks: Sequence[int], times: list[float], sizes: tuple[int, int]) -> list[float]:  # noqa: ARG002
        """Return the members' times after a collective in which all wait for all.

        Parameters
        ----------
        kind
            That of the operation.
        ranks, times
            The members, and when they arrived.
        sizes
            Bytes that go up the tree from each member, and down to each.
        """
        return self.down(ranks, self.up(ranks, times, sizes[0]), sizes[1])

    def to_root(self, ranks: Sequence[int], times: list[float], size: int, root: int) -> list[float]:
        """Return the times after a reduction to the member `root`, for which only the root waits."""
        return self._under(self.up, ranks, times, size, root)

    def from_root(
        self,
        kind: OfGroups,  # noqa: ARG002
        ranks: Sequence[int],
        times: list[float],
        size: int,
        root: int,
    ) -> list[float]:
        """Return the times after a broadcast from the member `root`, which waits for nobody."""
        return self._under(self.down, ranks, times, size, root)

    def _under(
        self,
        way: Callable[[Sequence[int], list[float], int], list[float]],
        ranks: Sequence[int],
        times: list[float],
        size: int,
        root: int,
    ) -> list[float]:
        """Return the members' times after messages along the tree under `root`, one `way`."""
        members = (ranks[root], *ranks[:root], *ranks[root + 1 :])
        first, *others = way(members, [times[root], *times[:root], *times[root + 1 :]], size)
        return [*others[:root], first, *others[root:]]

    def gather(
        self,
        kind: OfGroups,  # noqa: ARG002
        ranks: Sequence[int],
        times: list[float],
        sizes: Sequence[int],
        root: int,
    ) -> list[float]:
        """Return the times after every member has sent its `sizes` bytes to the member `root`."""
        sent = zip(ranks, sizes, times, strict=True)
        last = max(self.send(rank, ranks[root], size, at) for rank, size, at in sent)
        return [last if place == root else time for place, time in enumerate(times)]

    def alltoall(self, ranks: Sequence[int], times: list[float], sizes: Sequence[Sequence[int]]) -> list[float]:
        """Return the times after every member has sent `sizes[own][other]` bytes to every other one."""
        ends = list(times)
        for i, source in enumerate(ranks):
            for j, target in enumerate(ranks):
                if i != j:
                    ends[j] = max(ends[j], self.send(source, target, sizes[i][j], times[i]))
        return ends

    def exchange(self, source: int, targets: Sequence[int], size: int, at: float) -> list[float]:
        """Return when a node's message of `size` bytes arrives at each of its neighbours."""
        return [self.send(source, target, size, at) for target in targets]

    def up(self, ranks: Sequence[int], times: list[float], size: int) -> list[float]:
        """Return the times after a reduction to the first of `ranks`; `times` are the members' arrival times."""
        times = list(times)
        for child, parent in self._hops(len(ranks)):
            times[parent] = max(times[parent], self.send(ranks[child], ranks[parent], size, times[child]))
        return times

    def down(self, ranks: Sequence[int], times: list[float], size: int) -> list[float]:
        """Return the times after a broadcast from the first of `ranks`."""
        times = list(times)
        for child, parent in reversed(self._hops(len(ranks))):
            times[child] = max(times[child], self.send(ranks[parent], ranks[child], size, times[parent]))
        return times
