"""Clusters: a set of nodes, and how to run a program on all of them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.group import Group
from hpcopt.fabric.node import Node

T = TypeVar("T")


class Cluster(abc.ABC):
    """A set of nodes: the ranks of an MPI job, or N greenlets in one process."""

    kind: str
    """"mpi" or "virtual"."""
    clock: str
    """"wall" or "virtual"."""
    size: int
    """Number of nodes."""
    processes: Group
    """The group of the operating-system processes that host the nodes (they share the reading of data)."""
    local_nodes: range
    """Ranks of the nodes that this process hosts."""

    crowding: str | None = None
    """A description of oversubscription, if a host has more ranks than cores (timings then mean little)."""

    _holders: tuple[int, ...] | None = None

    @abc.abstractmethod
    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        """Run `program(node)` on every node under `conditions`; return the local nodes' results in rank order."""

    @abc.abstractmethod
    def led(self, work: Callable[[], object]) -> bool:
        """Run `work` on one process of each host while the others wait, so that they find a warm cache.

        The process carries a node that holds rows, if one there does.

        Returns whether this process ran it.
        """

    @property
    def survivable(self) -> bool:
        """Whether nodes can go on when others leave or die."""
        return False

    def without(self, lost: Collection[int]) -> tuple[Cluster, tuple[int, ...]]:  # noqa: ARG002  (a survivable one's)
        """Return the cluster of the nodes that remain, and their ranks here; collective over these.

        Parameters
        ----------
        lost
            The nodes that have left, as far as this process knows; it may be more of them that have died.

        Raises
        ------
        RuntimeError
            If the cluster is not `survivable`.
        """
        raise RuntimeError(f"the nodes of a cluster of kind {self.kind} cannot go on without others")

    def interruptible(self) -> AbstractContextManager[None]:
        """Return a context in which operations of `processes` raise `NodesLost` when one of them has died.

        For work on what `without` has returned; `confirm` ends it.
        """
        return nullcontext()

    def confirm(self) -> None:  # noqa: B027  (virtual nodes do not die in between)
        """Wait for all processes; collective, inside `interruptible`.

        Raises
        ------
        NodesLost
            If it was raised on any of them.
        """

    def probe_windows(self) -> str | None:
        """Test the one-sided operations and return the result in words; None if this kind of cluster needs no test.

        Collective over the processes. If it isn't called, the first window of a run does the test.
        """
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Free the cluster's resources; the cluster can't be used afterwards."""

    @property
    def holders(self) -> Sequence[int]:
        """Ranks of the nodes that hold rows, ascending; default all.

        To be set before any data are read, on all processes.
        """
        return range(self.size) if self._holders is None else self._holders

    @holders.setter
    def holders(self, ranks: Sequence[int]) -> None:
        if not ranks or list(ranks) != sorted(set(ranks).intersection(range(self.size))):
            raise ValueError(f"holders: expected ranks of the {self.size} nodes, ascending, got {list(ranks)}")
        self._holders = tuple(ranks)

    def hosts(self) -> tuple[int, ...]:
        """Return for each node the number of its shared-memory host, counted from 0; collective over the processes."""
        return (0,) * self.size

    def process_of(self, node: int) -> int:
        """Return the rank, in `processes`, of the process that hosts `node`."""
        return node if self.processes.size > 1 else 0
