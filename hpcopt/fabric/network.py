"""What a message costs: latency + size / bandwidth, first in first out on each link, in virtual time.

A collective is made of messages along a binomial tree, or of messages to and from one node that all others are
linked to (a star, as a parameter server or object storage is):

    tree, 5 nodes     0 <- 1, 2 <- 3, then 0 <- 2, then 0 <- 4     at most 2 log2(K) messages one after another
    star              0 <- 1, 0 <- 2, 0 <- 3, 0 <- 4              2 messages one after another, whatever K is

A link carries its messages in both directions at once. What messages of different links share:

    pairs    nothing: each pair of nodes has a cable of its own
    ports    a node has one port out and one port in, each of the bandwidth: messages that leave one node follow one
             another, and so do those that come to one node (they wait in the switch, not at their sender)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

import numpy as np

from hpcopt.fabric.heterogeneity import Heterogeneity

KEPT = 256  # spans that a port remembers


class Port:
    """When a node's port is taken: a message gets the first gap, from its time on, that is long enough.

    Messages aren't entered in the order of their times, since a node may run ahead of the others until it has to wait
    for one: what it sends late must not hold up what others send early but enter after it.
    """

    __slots__ = ("_begins", "_ends", "_forgotten")

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        self._forgotten = 0.0  # nothing is known of the time before, so nothing is entered there any more

    def take(self, ready: float, seconds: float) -> float:
        """Return when a message that is there at `ready` and takes `seconds` begins to pass."""
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
        """Go on from what `snapshot` returned."""
        self._begins, self._ends = snapshot["begins"].tolist(), snapshot["ends"].tolist()
        self._forgotten = float(snapshot["forgotten"])


@dataclass
class Network:
    """Links between nodes and the times of messages over them.

    Parameters
    ----------
    latency
        Seconds a message.
    bandwidth
        Bytes a second on a link.
    collective
        "tree" or "star", see above.
    links
        "pairs" or "ports", see above.
    factor
        Given two nodes, how many times as long a byte takes between them; default once.
    """

    latency: float = 1e-5
    bandwidth: float = 1e9
    collective: Literal["tree", "star"] = "tree"
    links: Literal["pairs", "ports"] = "pairs"
    factor: Callable[[int, int], float] | None = None
    _free: dict[tuple[int, int], float] = field(init=False, default_factory=dict)  # link -> when it is free again
    _out: dict[int, Port] = field(init=False, default_factory=dict)
    _in: dict[int, Port] = field(init=False, default_factory=dict)

    def idle(self, heterogeneity: Heterogeneity) -> Network:
        """Return the same network before any message, with the slow links that a cluster has."""
        return replace(self, factor=cache(heterogeneity.link_factor) if heterogeneity.slow_links else None)

    def send(self, source: int, target: int, size: int, at: float) -> float:
        """Return when a message of `size` bytes, ready at time `at`, has arrived; none overtakes on its link.

        What a node sends to itself is there at once.
        """
        if source == target:
            return at
        link = (source, target)
        seconds = size / self.bandwidth
        if self.factor is not None:
            seconds *= self.factor(source, target)
        free = self._free.get(link, 0.0)
        if self.links == "pairs":
            left = self._free[link] = max(at, free) + seconds
            return left + self.latency
        begun = self._out.setdefault(source, Port()).take(at, seconds)
        came = max(begun + self.latency, free)  # the first byte, behind the last one of the message before
        arrived = self._free[link] = self._in.setdefault(target, Port()).take(came, seconds) + seconds
        return arrived

    def snapshot(self, node: int) -> dict[str, Any]:
        """Return what is remembered of a node's ports and of the links that lead away from it, as plain data."""
        free = {target: time for (source, target), time in self._free.items() if source == node}
        return {
            "targets": np.array(list(free), dtype=np.int64),
            "free": np.array(list(free.values())),
            "out": self._out.get(node, Port()).snapshot(),
            "in": self._in.get(node, Port()).snapshot(),
        }

    def restore(self, node: int, snapshot: dict[str, Any]) -> None:
        """Go on from what `snapshot` returned for that node."""
        for target, time in zip(snapshot["targets"].tolist(), snapshot["free"].tolist(), strict=True):
            self._free[node, target] = time
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

    def up(self, ranks: Sequence[int], times: list[float], size: int) -> list[float]:
        """Return the times after a reduction to the first of `ranks`; `times` are those of their arrival."""
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
