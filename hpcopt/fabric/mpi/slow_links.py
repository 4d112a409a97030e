"""Slow links between ranks: real delays, as long as those that slow links add in the network model.

Over a link that is `factor` times as slow, m bytes take (factor - 1) m / bandwidth seconds longer than over the others.
This delay is added to the real time of the operation. The node that waits is the origin of a one-sided operation, in
its flush; a neighbour, for the messages of its slow sources; the members of a group, as along a binomial tree. A
message in a mailbox leaves later by the delay, and its sender continues. Monitoring is never slowed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, get_args

from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.neighbourhood import LENGTH
from hpcopt.fabric.network import Network
from hpcopt.fabric.seam import Observer, OfTrees, Operation

ALONG_TREES = frozenset(get_args(OfTrees))


class SlowLinks(Observer):
    """Delays one node according to its slow links.

    Parameters
    ----------
    rank
        The node.
    heterogeneity
        Which links are slow.
    bandwidth
        Bytes per second on a normal link.
    wait
        Lets that many seconds pass on the node's clock, except during monitoring.
    """

    def __init__(
        self, rank: int, heterogeneity: Heterogeneity, bandwidth: float, wait: Callable[[float], None]
    ) -> None:
        self.rank = rank
        self._wait = wait
        self.tree = lru_cache(maxsize=64)(self._along_tree)  # bounded, since sizes may vary from round to round
        """`tree(ranks, up, down)`: this node's extra seconds in a collective that sends `up` bytes to the first of
        `ranks` and `down` bytes from it."""
        self._even = Network(0.0, bandwidth)
        self._uneven = self._even.idle(heterogeneity)
        self._factor = cache(heterogeneity.link_factor)
        self._owed: defaultdict[tuple[Operation, int], int] = defaultdict(int)  # bytes since the last flush of a window
        self._free: defaultdict[tuple[Operation, int], float] = defaultdict(float)  # when a mailbox's link is free

    def is_slow(self, other: int) -> bool:
        """Return whether the link between this node and another is slow."""
        return other != self.rank and self._factor(self.rank, other) > 1.0

    def seconds(self, other: int, size: int) -> float:
        """Return the extra seconds for `size` bytes between this node and another."""
        if not self.is_slow(other):
            return 0.0
        return (self._factor(self.rank, other) - 1.0) * size / self._even.bandwidth

    def begin(self, op: Operation) -> None:
        if op.kind == "send" and self.is_slow(op.peer):  # delayed; messages on one link leave one after another
            link = op, op.peer
            op.leaves = max(time.perf_counter(), self._free[link]) + self.seconds(op.peer, op.sent)
            self._free[link] = op.leaves

    def end(self, op: Operation, result: Any) -> None:
        kind, peer = op.kind, op.peer
        if kind in ALONG_TREES:
            ranks = op.peers
            self._wait(self.tree((ranks[peer], *ranks[:peer], *ranks[peer + 1 :]), op.sent, op.received))
        elif kind == "alltoall":
            self._wait(max(self.seconds(rank, x.nbytes) for rank, x in zip(op.peers, result, strict=True)))
        elif kind in {"exchange", "exchange_varying"}:
            more = LENGTH if kind == "exchange_varying" else 0
            came = zip(op.thing.sources, result, strict=True)
            self._wait(max((self.seconds(source, x.nbytes + more) for source, x in came), default=0.0))
        elif kind in {"put", "get", "accumulate"}:
            self._owed[op, peer] += op.sent + op.received
        elif kind == "flush":
            self._wait(self.seconds(peer, self._owed.pop((op, peer), 0)))

    def _along_tree(self, ranks: tuple[int, ...], up: int, down: int) -> float:
        def end(network: Network) -> float:
            idle = replace(network)
            times = idle.up(ranks, [0.0] * len(ranks), up)
            if down:  # otherwise no node waits for its parents in the tree
                times = idle.down(ranks, times, down)
            return times[ranks.index(self.rank)]

        return end(self._uneven) - end(self._even)
