"""The MPI cluster: one rank is one node, a group is a communicator. Solvers' data travel as buffers, never pickled.

The communicator passed in is duplicated, so any sub-communicator works, and the caller's own messages don't interfere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol, TypeVar

from mpi4py import MPI

from hpcopt.arrays import Vector
from hpcopt.errors import AgreedError
from hpcopt.fabric.board import LINK_CLASS, Board, Machine
from hpcopt.fabric.cas_board import CASBoard
from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.conditions import PLAIN, Conditions
from hpcopt.fabric.departures import NodesLost
from hpcopt.fabric.group import Group
from hpcopt.fabric.job import JOB, abort_on_error, host_table, meet_without
from hpcopt.fabric.launch import patiently
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.matching import Matching
from hpcopt.fabric.mpi.group import MPIGroup
from hpcopt.fabric.mpi.mailbox import MPIMailbox
from hpcopt.fabric.mpi.neighbourhood import MPINeighbourhood
from hpcopt.fabric.mpi.self_test import Engine, choose, without_room
from hpcopt.fabric.mpi.shared_memory import lacking
from hpcopt.fabric.mpi.slow_links import SlowLinks
from hpcopt.fabric.mpi.survey import MPISurvey
from hpcopt.fabric.mpi.survival import Survival, outlives_ranks, shrunk
from hpcopt.fabric.mpi.two_sided import Requests, TwoSidedWindow
from hpcopt.fabric.mpi.window import MPIWindow
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.node import Node
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.survivors import survive
from hpcopt.fabric.wall.node import WallClockNode
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.wall.watching import watching
from hpcopt.fabric.window import Window, Windows

AWAKE = 1.0  # seconds of busy waiting before a rank sleeps, if it has a core of its own

T = TypeVar("T")


def _crowding(comm: MPI.Intracomm) -> str | None:
    """Describe oversubscription, if a host has more ranks than cores, else return None; collective."""
    host = comm.Split_type(MPI.COMM_TYPE_SHARED)
    cores = set().union(*host.allgather(os.sched_getaffinity(0)))  # ranks may be bound to different cores
    ranks, count = max(comm.allgather((host.size, len(cores))), key=lambda told: told[0] / told[1])
    host.Free()
    return f"{ranks} ranks on {count} core{'s' * (count > 1)}" if ranks > count else None


class Finite(Protocol):
    """A resource that a node uses until the end of the run."""

    def finish(self) -> None:
        """Wait until all operations started by this rank have completed."""

    def free(self) -> None:
        """Free the resource after all ranks have called `finish`."""


class MPINode(WallClockNode):
    """A node that is an MPI rank."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        seed: int,
        conditions: Conditions,
        *,
        bandwidth: float,
        ordered: bool,
        one_sided: Callable[[int], bool],
    ) -> None:
        super().__init__(comm.rank, comm.size, seed, conditions)
        self._comm = comm
        self._ordered = ordered
        self._one_sided = one_sided
        self._progress = Progress(comm.Iprobe, self.now)
        self._things: list[Finite] = []
        self._requests: Requests | None = None
        self._groups: list[MPI.Intracomm] = []
        self._neighbourhoods: list[MPINeighbourhood] = []
        if conditions.heterogeneity.slow_links > 0.0:
            self.seam.attach(SlowLinks(self.rank, conditions.heterogeneity, bandwidth, self._hold))
        if conditions.watchdog.matching:
            self.seam.attach(Matching(self.rank))
        self.world = self._group(comm, range(self.size))
        self._survival = Survival(comm, self._communicators) if conditions.survives else None

    def group(self, ranks: Sequence[int], link_class: str = "world") -> Group:
        self._groups.append(self._of(ranks))
        return self._group(self._groups[-1], ranks, link_class)

    def _communicators(self) -> list[MPI.Comm]:
        """Return the communicators of groups and neighbourhoods."""
        return [*self._groups, *(links.comm for links in self._neighbourhoods)]

    def interruptible(self) -> AbstractContextManager[None]:
        return nullcontext() if self._survival is None else self._survival.interruptible()

    @property
    def is_interrupted(self) -> bool:
        """Whether other ranks have died, so that nothing can be done with all of them any more."""
        return self._survival is not None and self._survival.is_interrupted

    def confirm(self) -> None:
        if self._survival is not None:
            self._survival.confirm()

    def _of(self, ranks: Sequence[int]) -> MPI.Intracomm:
        """Return a communicator of `ranks`, in that order; collective over these only."""
        members = self._comm.group.Incl(list(ranks))
        comm = self._comm.Create_group(members)
        members.Free()
        return comm

    def _group(self, comm: MPI.Intracomm, ranks: Sequence[int], link_class: str = "world") -> MPIGroup:
        return MPIGroup(comm, ranks, self.seam, link_class, ordered=self._ordered, progress=self._progress)

    def _hold(self, seconds: float) -> None:
        """Wait for a slow link."""
        if seconds > 0.0 and not self.meter.is_paused:
            self._delay(seconds)

    def _neighbourhood(
        self, sources: Sequence[int], targets: Sequence[int], among: tuple[int, ...] | None, link_class: str
    ) -> Neighbourhood:
        if among is None:
            self._progress.meet_if_asked(self._comm)
            links = MPINeighbourhood(self._comm, range(self.size), sources, targets, self.seam, link_class)
        else:
            comm = self._of(among)
            links = MPINeighbourhood(comm, among, sources, targets, self.seam, link_class)
            comm.Free()
        self._neighbourhoods.append(links)
        return links

    def _look_up(self) -> None:
        """Start polling MPI while computing; called by all nodes, when they create something collectively."""
        self.meter.poke = self.poke
        self._progress.meet_if_asked(self._comm)

    def window(self, words: int, link_class: str = "one-sided", *, by_edge: bool = True) -> Window:
        return self._window(words, self.seam, link_class, by_edge=by_edge)

    def _window(self, words: int, seam: Seam, link_class: str, *, by_edge: bool) -> Window:
        self._look_up()
        if self._one_sided(words):
            window = MPIWindow(self._comm, words, seam, self._progress, link_class, by_edge=by_edge)
            self._things.append(window)
            return window
        if self._requests is None:
            self._requests = Requests(self._comm, self._progress)
            self._things.append(self._requests)
        return TwoSidedWindow(self._requests, words, self.rank, seam, link_class, by_edge=by_edge)

    def board(self, machine: Machine) -> Board:
        coordinates = Seam(self.ledger)  # without slow links
        if self.operations is not None:
            coordinates.attach(self.operations.charges_of("post", LINK_CLASS))
        window = self._window(CASBoard.part(machine, self.size), coordinates, LINK_CLASS, by_edge=False)
        meet = partial(self._progress.meet, self._comm)
        return CASBoard(self.seam, window, machine, self.size, self._progress.wait, meet)

    def mailbox(self) -> Mailbox:
        self._look_up()
        box = MPIMailbox(self._comm, self.seam, self._progress)
        self._things.append(box)
        return box

    def survey(
        self,
        stages: Sequence[Stage],
        done: Callable[[Vector], None],
        *,
        steps: int = 0,  # noqa: ARG002
        seconds: float | None = None,
    ) -> Survey:
        self._look_up()
        survey = MPISurvey(self._comm, self._progress, self, stages, done, seconds)
        self._things.append(survey)
        return survey

    def renew(self) -> None:
        self.free()
        self._progress.services.clear()
        self._requests = None

    def free(self) -> None:
        """Free all resources in reverse order of creation, once no rank uses them; collective."""
        for thing in self._things:
            thing.finish()
        if self._things:
            self._progress.meet(self._comm)
        self.meter.poke = None  # there are no more requests, and the services are being freed
        while self._things:
            self._things.pop().free()
        while self._neighbourhoods:
            self._neighbourhoods.pop().free()
        while self._groups:
            self._groups.pop().Free()


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
