"""The MPI cluster: one rank is one node, a group is a communicator. Solvers' data travel as buffers, never pickled.

The communicator passed in is duplicated, so any sub-communicator works, and the caller's own messages don't interfere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from mpi4py import MPI

from hpcopt.errors import AgreedError
from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.departures import NodesLost
from hpcopt.fabric.job import JOB, abort_on_error, host_table, meet_without
from hpcopt.fabric.launch import patiently
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mpi.group import MPIGroup
from hpcopt.fabric.mpi.node import MPINode
from hpcopt.fabric.mpi.self_test import Engine, choose, without_room
from hpcopt.fabric.mpi.shared_memory import lacking
from hpcopt.fabric.mpi.survival import Survival, outlives_ranks, shrunk
from hpcopt.fabric.node import Node
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.survivors import survive
from hpcopt.fabric.wall.watching import watching
from hpcopt.fabric.window import Windows

AWAKE = 1.0  # seconds of busy waiting before a rank sleeps, if it has a core of its own

T = TypeVar("T")


def _crowding(comm: MPI.Intracomm) -> str | None:
    """Describe oversubscription, if a host has more ranks than cores, else return None; collective."""
    host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    cores = set().union(*host.allgather(os.sched_getaffinity(0)))  # ranks may be bound to different cores
    ranks, count = max(comm.allgather((host.size, len(cores))), key=lambda told: told[0] / told[1])
    host.Free()
    return f"{ranks} ranks on {count} core{'s' * (count > 1)}" if ranks > count else None


class MPICluster(Cluster):
    """The ranks of a communicator.

    Parameters
    ----------
    comm
        It is duplicated and never used itself; default: the world.
    seed
        Seed of the nodes' random streams.
    ordered
        Whether reductions add in rank order.
    windows
        How windows are implemented; "auto" tests one-sided operations and uses messages if they don't work.
    bandwidth
        Bytes per second, from which the delays of slow links are computed.
    """

    kind = "mpi"
    clock = "wall"

    def __init__(
        self,
        comm: MPI.Intracomm | None = None,
        *,
        seed: int = 0,
        ordered: bool = False,
        windows: Windows = "auto",
        bandwidth: float = 1e9,
    ) -> None:
        self._comm = (MPI.COMM_WORLD if comm is None else comm).Dup()
        self.size = self._comm.size
        self.processes = MPIGroup(self._comm, range(self.size), Seam(Ledger()))
        self.local_nodes = range(self._comm.rank, self._comm.rank + 1)
        self._seed = seed
        self._ordered = ordered
        self._windows = windows
        self._bandwidth = bandwidth
        self._engine: Engine | None = None
        self._lost = False  # whether ranks have died
        self._survivable: bool | None = None
        self._survival: Survival | None = None  # while the ranks that remain regroup
        self.crowding = _crowding(self._comm)

    @property
    def survivable(self) -> bool:
        if self._survivable is None:
            self._survivable = outlives_ranks(self._comm)
        return self._survivable

    def without(self, lost: Collection[int]) -> tuple[Cluster, tuple[int, ...]]:
        self._lost = True
        comm, kept = shrunk(self._comm)
        survival = Survival(comm, tuple)
        try:
            with survival.interruptible():
                smaller = MPICluster(
                    comm, seed=self._seed, ordered=self._ordered, windows=self._windows, bandwidth=self._bandwidth
                )
                meet_without(comm)
                survival.confirm()
        except NodesLost:  # another one has died meanwhile
            return self.without(lost)
        smaller.holders = [place for place, rank in enumerate(kept) if rank in self.holders]
        smaller._survival = Survival(smaller._comm, tuple)
        return smaller, kept

    def interruptible(self) -> AbstractContextManager[None]:
        return nullcontext() if self._survival is None else self._survival.interruptible()

    def confirm(self) -> None:
        if self._survival is not None:
            self._survival.confirm()

    def probe_windows(self) -> str:
        return self._choose().words

    def _choose(self) -> Engine:
        if self._engine is None:
            self._engine = choose(self._comm, self._windows)
        return self._engine

    def _is_one_sided(self, words: int) -> bool:
        """Return whether a window of `words` words per rank is one-sided; after the first lack of memory none is."""
        engine = self._choose()
        lack = lacking(self._comm, words) if engine.one_sided else None
        if lack is not None:
            self._engine = engine = without_room(lack, self._windows)
        return engine.one_sided

    def run(self, program: Callable[[Node], T], conditions: Conditions = PLAIN) -> list[T]:
        if self._lost:
            raise AgreedError("ranks have died in an earlier run: start the job again; finished runs are kept")
        node = MPINode(
            self._comm,
            self._seed,
            conditions,
            bandwidth=self._bandwidth,
            ordered=self._ordered,
            one_sided=self._is_one_sided,
        )
        survive(deaths=conditions.survives)
        with abort_on_error(), watching(host_table(), conditions.watchdog, JOB.end) as watch:
            self._wait(self._comm.Ibarrier())  # the first rank may still be drawing the last run
            self._comm.Barrier()
            node.start()
            watch(node)
            try:
                result = program(node)
            except AgreedError:  # all ranks raise it; MPI reports an error for windows that aren't freed
                survive(deaths=False)
                node.free()
                raise
        if node.is_interrupted:
            return [result]
        survive(deaths=False)
        node.free()
        return [result]

    def _wait(self, request: MPI.Request) -> None:
        """Wait for the slowest rank before a run is timed.

        A rank that has slept may wake on any core, several ranks on the same one, which would distort the timing; so a
        short wait doesn't sleep. Where ranks share cores, their timings are distorted anyway.
        """
        patiently(request, 0.0 if self.crowding else AWAKE)

    def led(self, work: Callable[[], object]) -> bool:
        host = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        with abort_on_error():
            _, first = min(host.allgather((self._comm.rank not in self.holders, host.rank)))
            leads: bool = host.rank == first
            if leads:
                work()
            self._wait(host.Ibarrier())
        host.Free()
        return leads

    def hosts(self) -> tuple[int, ...]:
        host = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        lowest = self._comm.allgather(host.bcast(self._comm.rank))
        host.Free()
        numbers = sorted(set(lowest))
        return tuple(numbers.index(rank) for rank in lowest)

    def close(self) -> None:
        if not self._lost:
            self._comm.Free()
