"""The network of a virtual cluster with a calibration: collectives take as long as those of the cluster's MPI did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from hpcopt.fabric.calibration import Calibration, Links
from hpcopt.fabric.network import Link, Network
from hpcopt.fabric.seam import OfGroups


@dataclass
class MeasuredNetwork(Network):
    """Links and collectives with the times of a calibration.

    The members of a collective wait for all, and leave together. One-sided operations and mailboxes use the latency and
    bandwidth between two ranks. Slow links add what they add to a tree of such messages.

    Parameters
    ----------
    calibration
        The times.
    """

    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        assert self.calibration is not None
        self._links = cache(self._links_among)
        if self.route is None:
            self.route = self._between
        known = self.calibration.between or self.calibration.within
        if known is not None:
            self.latency, self.bandwidth = known.latency, known.bandwidth

    def _links_among(self, ranks: Sequence[int]) -> Links:
        assert self.calibration is not None
        return self.calibration.links(ranks if self.nodes is None else tuple(self.nodes[rank] for rank in ranks))

    def _between(self, a: int, b: int) -> Link:
        links = self._links((a, b))
        return Link(links.latency, links.bandwidth)

    def _of(self, ranks: Sequence[int]) -> Links:
        return self._links(ranks if isinstance(ranks, range) else tuple(ranks))

    def _extra(self, ranks: Sequence[int], up: int, down: int) -> float:
        """Return the seconds by which slow links delay messages up and down a tree."""
        if self.factor is None:
            return 0.0

        def end(network: Network) -> float:
            times = [0.0] * len(ranks)
            return max(network.down(ranks, network.up(ranks, times, up), down))

        plain = Network(0.0, self.bandwidth)
        return end(Network(0.0, self.bandwidth, factor=self.factor)) - end(plain)

    def meet(self, kind: OfGroups, ranks: Sequence[int], times: list[float], sizes: tuple[int, int]) -> list[float]:
        seconds = self._of(ranks).collective(kind, len(ranks), sizes[0]) + self._extra(ranks, *sizes)
        return [max(times) + seconds] * len(ranks)

    def to_root(self, ranks: Sequence[int], times: list[float], size: int, root: int) -> list[float]:
        return self.gather("reduce", ranks, times, [size] * len(ranks), root)

    def from_root(self, kind: OfGroups, ranks: Sequence[int], times: list[float], size: int, root: int) -> list[float]:
        seconds = self._of(ranks).collective(kind, len(ranks), size) + self._extra(ranks, 0, size)
        return [max(time, times[root]) + seconds for time in times]

    def gather(
        self, kind: OfGroups, ranks: Sequence[int], times: list[float], sizes: Sequence[int], root: int
    ) -> list[float]:
        links, largest = self._of(ranks), max(sizes)
        seconds = links.collective(kind, len(ranks), sum(sizes) / len(ranks)) + self._extra(ranks, largest, 0)
        ends = [time + min(seconds, links.latency + largest / links.bandwidth) for time in times]
        ends[root] = max(times) + seconds
        return ends

    def alltoall(self, ranks: Sequence[int], times: list[float], sizes: Sequence[Sequence[int]]) -> list[float]:
        count = len(ranks)
        sent = [sum(own) - own[place] for place, own in enumerate(sizes)]
        seconds = self._of(ranks).collective("alltoall", count, max(sent) / max(1, count - 1))
        return [max(times) + seconds + self._extra(ranks, max(sent), 0)] * count

    def exchange(self, source: int, targets: Sequence[int], size: int, at: float) -> list[float]:
        arrivals = []
        for target in targets:
            links = self._links((source, target))
            slow = 0.0 if self.factor is None else (self.factor(source, target) - 1.0) * size / links.bandwidth
            arrivals.append(at + links.exchanged(len(targets), size) + slow)
        return arrivals
