"""The timelines of a run's nodes, and their collection on the process that writes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.interface import Cluster, Group, Node
from hpcopt.fabric.timeline import Timeline
from hpcopt.results.terminal import warn

MOST_SPANS = 1_000_000  # for all nodes together: a file of 40 MB


class Timelines:
    """The timelines of the nodes that this process hosts."""

    def __init__(self, cluster: Cluster) -> None:
        self._limit = max(1, MOST_SPANS // cluster.size)
        self._kept: dict[int, list[Timeline]] = {}

    def begin(self, node: Node) -> None:
        """Start recording on the node."""
        node.record(self._limit)
        assert node.timeline is not None
        self._kept.setdefault(node.first_rank, []).append(node.timeline)

    def gathered(self, processes: Group) -> NDArray[np.float64]:
        """Return all nodes' spans as rows (node, kind, begin, end) on the first process, none elsewhere; collective.

        That process prints a line if spans were dropped.
        """
        kept = [(node, timeline) for node, timelines in sorted(self._kept.items()) for timeline in timelines]
        own = np.concatenate([timeline.rows(node) for node, timeline in kept]).reshape(-1)
        to_first = [own, *[own[:0]] * (processes.size - 1)]
        rows = np.concatenate(processes.alltoall(to_first)).reshape(-1, 4)
        dropped = processes.sum(np.array([float(sum(timeline.dropped for _, timeline in kept))]))
        if processes.rank == 0 and dropped[0]:
            warn(f"the timeline contains the first {self._limit} spans of each node; {dropped[0]:.0f} were dropped")
        return rows
