"""What a message costs on the virtual cluster: latency + size / bandwidth, first in first out on each link.

A collective is made of messages along a binomial tree, or of messages to and from one node that all others are
linked to (a star, as a parameter server or object storage is):

    tree, 5 nodes     0 <- 1, 2 <- 3, then 0 <- 2, then 0 <- 4     at most 2 log2(K) messages one after another
    star              0 <- 1, 0 <- 2, 0 <- 3, 0 <- 4              2 messages one after another, whatever K is

A link carries its messages in both directions at once, and a node's links do not disturb one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


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
    """

    latency: float = 1e-5
    bandwidth: float = 1e9
    collective: Literal["tree", "star"] = "tree"
    _free: dict[tuple[int, int], float] = field(default_factory=dict)  # link -> when its last message has left

    def send(self, source: int, target: int, size: int, at: float) -> float:
        """Return when a message of `size` bytes, ready at time `at`, has arrived; none overtakes on its link."""
        link = (source, target)
        left = max(at, self._free.get(link, 0.0)) + size / self.bandwidth
        self._free[link] = left
        return left + self.latency

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
