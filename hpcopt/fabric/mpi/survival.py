"""Surviving the death of ranks by MPI's user-level failure mitigation (ULFM): errors, revocation, agreement, shrinking.

An operation with a dead rank raises an error on the ranks that need it. Each of these revokes all its communicators, so
that the others get errors too, in whatever they wait. All then agree, by an operation that works in spite of deaths,
whether the run is over for all of them or for none.

Windows are not covered: one-sided operations on a dead rank may succeed silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from mpi4py import MPI

from hpcopt.fabric.departures import NodesLost
from hpcopt.fabric.job import is_of_a_death
from hpcopt.fabric.launch import mpi_library, tolerates_deaths


def outlives_ranks(comm: MPI.Intracomm) -> bool:
    """Return whether ranks of `comm` can go on when others die; collective.

    That is so with Open MPI, if its launcher has been told (`mpiexec --with-ft ulfm`). MPICH and Intel MPI have the
    functions as well, but their launchers end the job.
    """
    able = "Open MPI" in (mpi_library() or "") and tolerates_deaths()
    if able:
        try:
            able = comm.Get_failed().size == 0 and not comm.Is_revoked()
        except (NotImplementedError, MPI.Exception):
            able = False
    return bool(comm.allreduce(able, op=MPI.LAND))


class Survival:
    """What interrupts one rank of a run when another one dies.

    Parameters
    ----------
    comm
        The communicator of all ranks of the run.
    others
        Returns the other communicators that the rank may be waiting in.
    """

    def __init__(self, comm: MPI.Intracomm, others: Callable[[], Iterable[MPI.Comm]]) -> None:
        self._comm = comm
        self._others = others
        self._has_agreed = False
        self.is_interrupted = False
        """Whether ranks have died, as all that remain know."""

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Return a context in which an error of an operation with a dead rank becomes `NodesLost`, on all ranks."""
        try:
            yield
        except MPI.Exception as error:
            if not is_of_a_death(error):
                raise
            self._interrupt()
            raise NodesLost from None

    def confirm(self) -> None:
        """Wait for all ranks that remain; collective.

        Raises
        ------
        NodesLost
            If a rank has died, or was interrupted.
        """
        if not self._agree(alright=True):
            self.is_interrupted = True
            raise NodesLost

    def _interrupt(self) -> None:
        """Let the other ranks be interrupted, too."""
        self.is_interrupted = True
        for comm in (self._comm, *self._others()):
            with suppress(MPI.Exception):
                comm.Revoke()
        if not self._has_agreed:
            self._agree(alright=False)

    def _agree(self, *, alright: bool) -> bool:
        self._has_agreed = True
        try:
            return bool(self._comm.Agree(int(alright)))
        except MPI.Exception as error:
            if not is_of_a_death(error):
                raise
            return False


def shrunk(comm: MPI.Intracomm) -> tuple[MPI.Intracomm, tuple[int, ...]]:
    """Return a communicator of the ranks that remain, and their ranks in `comm`; collective over these."""
    smaller = MPI.Intracomm(comm.Shrink())
    group, before = smaller.Get_group(), comm.Get_group()
    ranks = tuple(MPI.Group.Translate_ranks(group, list(range(smaller.size)), before))
    group.Free()
    before.Free()
    return smaller, ranks
