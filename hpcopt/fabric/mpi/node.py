"""A node that is an MPI rank: its groups are communicators, and what else it uses is freed at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol

from mpi4py import MPI

from hpcopt.arrays import Vector
from hpcopt.fabric.board import LINK_CLASS, Board, Machine
from hpcopt.fabric.cas_board import CASBoard
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.group import Group
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.matching import Matching
from hpcopt.fabric.mpi.group import MPIGroup
from hpcopt.fabric.mpi.mailbox import MPIMailbox
from hpcopt.fabric.mpi.neighbourhood import MPINeighbourhood
from hpcopt.fabric.mpi.slow_links import SlowLinks
from hpcopt.fabric.mpi.survey import MPISurvey
from hpcopt.fabric.mpi.survival import Survival
from hpcopt.fabric.mpi.two_sided import Requests, TwoSidedWindow
from hpcopt.fabric.mpi.window import MPIWindow
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.survey import Stage, Survey
from hpcopt.fabric.wall.node import WallClockNode
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.window import Window


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
