"""Clusters: where nodes live, and how a program is run on all of them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TypeVar

from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.group import Group
from hpcopt.fabric.node import Node

T = TypeVar("T")


class Cluster(abc.ABC):
    """Where nodes live: the ranks of an MPI job, or N greenlets in one process."""

    kind: str
    """"mpi" or "virtual"."""
    clock: str
    """"wall" or "virtual"."""
    size: int
    """Number of nodes."""
    processes: Group
    """The group of the operating-system processes that carry the nodes (they share the reading of data)."""
    local_nodes: range
    """Ranks of the nodes that this process carries."""

    crowding: str | None = None
    """Where more ranks share a host than it has cores for them, in words; their times tell little."""

    @abc.abstractmethod
    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        """Run `program(node)` on every node under `conditions`; return the local nodes' results in rank order."""

    @abc.abstractmethod
    def led(self, work: Callable[[], object]) -> bool:
        """Run `work` on one process of each host, while the others wait, who then find a warm cache.

        Returns whether this process was the one.
        """

    def probe_windows(self) -> str | None:
        """Find out how one-sided operations work here, and return that in words; None: as everywhere of this kind.

        Collective over the processes. Without this the first window of a run does it.
        """
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Free what the cluster holds; the cluster can't be used afterwards."""

    @property
    def holders(self) -> Sequence[int]:
        """Ranks of the nodes that hold rows, ascending: all of them."""
        return range(self.size)

    def process_of(self, node: int) -> int:
        """Return the rank, in `processes`, of the process that carries `node`."""
        return node if self.processes.size > 1 else 0
