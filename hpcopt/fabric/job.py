"""How all ranks of a job start MPI and end together: initialisation, common errors, abort.

With any MPI library, an exception on one rank leaves the others waiting in a collective forever, and a launcher that
does not match the library starts N single-process jobs. This module handles both.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NoReturn

from hpcopt.capacity import share
from hpcopt.errors import AgreedError, InputError, in_one_line, out_of_memory
from hpcopt.fabric.coming_up import watch_coming_up
from hpcopt.fabric.host_table import HostTable, alone, shared_table
from hpcopt.fabric.launch import (
    LAUNCHERS,
    OPEN_MPI,
    connection,
    is_first,
    is_joined,
    is_launched,
    launcher,
    mpi_library,
    patiently,
    ranks_here,
    senseless,
    started,
    take_the_floor,
    without,
)
from hpcopt.fabric.lingering import Lingering
from hpcopt.fabric.survivors import watch
from hpcopt.interrupts import listen_again

_READING = 0.1  # seconds given to a launcher to read a rank's output
_TOGETHER = 3.0  # seconds in which all ranks meet the same error, as over the environment
_GOODBYE = 3.0  # seconds given to a process that has done everything to finish by itself
_MOMENT = 0.75  # seconds given to a launcher, or to the first process, to end a job

_meeting: list[Any] = []
"""The communicator, if there are ranks, on which those that fail wait for one another; nothing else uses it."""

_leaving: list[Any] = []
"""Likewise, on which those that have ended wait for the last."""

_bereaved: list[bool] = []
"""Not empty if ranks have died and this one goes on."""

_tables: list[HostTable] = []
"""The table of this host's ranks, if there are ranks."""

_lingering: list[Lingering] = []
"""What keeps the launcher from ending the job before the others have told of this rank's death."""


def bring_up() -> Any:
    """Initialise MPI if necessary; return the module `mpi4py.MPI`.

    mpi4py holds the GIL in MPI_Init, which returns only when the last rank has arrived, perhaps never. So MPI_Init is
    called without the GIL, and the process can react to an interrupt or a time-out.

    Raises
    ------
    ImportError, RuntimeError
        If no MPI can be loaded.
    """
    import mpi4py

    mpi4py.rc.initialize = False
    from mpi4py import MPI

    if not MPI.Is_initialized():
        library = ctypes.CDLL(MPI.__file__)  # linked to the MPI library that mpi4py uses
        up = threading.Event()
        watch_coming_up(up, ranks_here(), _MOMENT * (not is_first()), JOB.end)
        with ExitStack() as hidden:
            for name in senseless():
                hidden.enter_context(without(name))
            library.MPI_Init_thread(None, None, ctypes.c_int(MPI.THREAD_MULTIPLE), ctypes.byref(ctypes.c_int()))
        up.set()
        listen_again()
        for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
            comm.Set_errhandler(MPI.ERRORS_RETURN)  # so that errors raise, as when mpi4py initialises MPI
        if MPI.COMM_WORLD.size > 1:
            _meeting.append(MPI.COMM_WORLD.Dup())
            _leaving.append(MPI.COMM_WORLD.Dup())
            host = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
            share(host.size)
            _tables.append(shared_table(host, MPI.COMM_WORLD.rank))
            host.Free()
            _lingering.append(Lingering(connection()))
            watch(_tables[0], JOB.end, os.getppid() if is_launched() else None)
        atexit.register(_finalize)
    return MPI


def _finalize() -> None:
    mpi = sys.modules["mpi4py.MPI"]
    if not mpi.Is_finalized():
        with suppress(mpi.Exception):
            for comm in _leaving:
                _gather_round(comm.Ibarrier())
        _say_end()
        if not _bereaved:  # MPI_Finalize waits for the dead now and then
            mpi.Finalize()


def _gather_round(arrived: Any) -> None:
    """Wait for all ranks; where some have died, not for ever."""
    patience = time.monotonic() + _GOODBYE
    while _bereaved and not arrived.Test() and time.monotonic() < patience:
        time.sleep(_READING)
    if not _bereaved:
        patiently(arrived)


def _say_end() -> None:
    """Let the other ranks of the host know that this process does not die, but ends."""
    for table in _tables:
        table.say_end()
    while _lingering:
        _lingering.pop().end()


def meet_without(comm: Any) -> None:
    """Let the ranks of `comm` wait for one another at errors and at the end, as others have died; collective."""
    _meeting[:] = [comm.Dup()]
    _leaving[:] = [comm.Dup()]
    _bereaved.append(True)
    if comm.rank == 0:
        take_the_floor()


def host_table() -> HostTable:
    """Return the table of this host's ranks, or, without others, one of this process's own."""
    return _tables[0] if _tables else alone()


def refuse_singletons() -> None:
    """Raise an error if several processes were started but each has an MPI world of size 1.

    Raises
    ------
    InputError
        In that case, with the command that works.
    """
    processes, _, launcher = started()
    if processes == 1 or bring_up().COMM_WORLD.size > 1:
        return
    remedy = (
        "srun --mpi=pmi2 (MPICH, Intel MPI) or mpiexec inside the job (Open MPI)"
        if launcher == "srun"
        else "the mpiexec that came with this MPI (in a virtual environment: .venv/bin/mpiexec)"
    )
    if not is_launched():
        size, rank = next(names[:2] for names in LAUNCHERS if names[2] == launcher)
        remedy += f"; if you started a single process, unset {size} and {rank}, which it inherited"
    raise InputError(
        f"{processes} processes were started by {launcher}, but each has an MPI world of size 1: the launcher does not "
        f"match the MPI library ({mpi_library()}); start with {remedy}"
    )


def leave_to_the_first() -> None:
    """Give the first process time to report a common error: some launchers end a job at the first failure."""
    if not is_joined():
        time.sleep(_MOMENT)


class _Job:
    """How an interrupted process ends (`hpcopt.interrupts.Ending`)."""

    def patience(self, *, asked_to_end: bool) -> float:
        """Return the seconds to wait before ending: none for the first process, which may end the others meanwhile.

        SIGTERM adds some: when one rank has ended, Open MPI's launcher sends it to all others, and SIGKILL half a
        second later. On one host those know by then whether the first one has reported.
        """
        if any(table.ends(table.own) for table in _tables):
            return _GOODBYE
        together = bool(_tables) and _tables[0].size == started()[0]
        echo = (_MOMENT, _READING)[together] if asked_to_end and started()[0] > 1 else 0.0
        return _MOMENT * (not is_first()) + echo

    @property
    def herald(self) -> signal.Signals | None:
        """The signal that announces that a SIGTERM is the launcher's, and that SIGKILL follows: Open MPI's does so."""
        return signal.SIGCONT if launcher() in OPEN_MPI else None

    def tell(self, line: str, *, by_launcher: bool) -> None:
        """Write a line to the error stream.

        An Open MPI's launcher that ends the job no longer reads what the ranks write, so the line also goes to its own
        error stream.
        """
        text = line.encode(errors="backslashreplace")
        with suppress(OSError):
            os.write(2, text)  # not through Python's buffers, which may be locked
        if by_launcher:
            with suppress(OSError):
                stream = os.open(f"/proc/{os.getppid()}/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
                os.write(stream, text)

    def speaks(self) -> bool:
        """Return whether to report: the process does not end anyway, and no other one of its host has reported."""
        return all(not table.ends(table.own) and table.claim() for table in _tables)

    def place(self) -> str:
        return "" if is_first() else f" on rank {started()[1]}"

    def end(self, code: int) -> NoReturn:
        """End this process, and the job with it.

        MPI_Abort ends the job. Before MPI is initialised, launchers take a process that exits, with any code, for one
        that needed no MPI, and the others would wait for it in MPI_Init; so it ends by a signal. A launcher that ends a
        job may not read the last output, so it is given time for that first.
        """
        _say_end()
        if is_launched():
            time.sleep(_READING)
        if is_joined():
            signal.alarm(1)  # in case the abort hangs
            sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(code)
        if is_launched():
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(code)


JOB = _Job()


@contextmanager
def abort_on_error() -> Iterator[None]:
    """End the whole MPI job if the body raises on this rank, after printing the traceback prefixed with the rank.

    An `AgreedError` passes through: all ranks raise it together and exit normally. An error in the input or the
    environment that all ranks meet before they have agreed on anything becomes one.

    Raises
    ------
    AgreedError
        As above.
    """
    try:
        yield
    except (AgreedError, SystemExit):
        raise
    except BaseException as error:
        if not is_joined():
            raise
        rank = sys.modules["mpi4py.MPI"].COMM_WORLD.rank
        if isinstance(error, KeyboardInterrupt):  # only in programs that import us
            _end_with("hpcopt: error: interrupted\n" if rank == 0 else "", 130)
        if isinstance(error, (InputError, MemoryError)):
            told = in_one_line(out_of_memory(error)) if isinstance(error, MemoryError) else error.message
            if _all_fail():
                raise AgreedError(told, getattr(error, "remedy", None)) from None
            _end_with(f"hpcopt: error: {told} (on rank {rank})\n", 1)
        end_on_defect()


def _all_fail() -> bool:
    """Wait a little for all ranks to come here; tell whether they did."""
    if not _meeting:
        return False
    arrived = _meeting[0].Ibarrier()
    patience = time.monotonic() + _TOGETHER
    while not arrived.Test():
        if time.monotonic() > patience:
            return False
        time.sleep(0.01)
    return True


def is_of_a_death(error: BaseException | None) -> bool:
    """Return whether an operation of MPI has failed because another rank has died."""
    if not is_joined():
        return False
    mpi = sys.modules["mpi4py.MPI"]
    kinds = {mpi.ERR_PROC_FAILED, mpi.ERR_PROC_FAILED_PENDING, mpi.ERR_REVOKED}
    return isinstance(error, mpi.Exception) and error.Get_error_class() in kinds


def end_on_defect() -> NoReturn:
    """End the job with the traceback of the exception being handled; if another rank has died, say that instead."""
    if is_of_a_death(sys.exc_info()[1]):
        time.sleep(_TOGETHER)  # a neighbour on its host says which one
        _end_with("hpcopt: error: another rank has died\n" if all(table.claim() for table in _tables) else "", 1)
    rank = started()[1] if not is_joined() else sys.modules["mpi4py.MPI"].COMM_WORLD.rank
    lines = traceback.format_exc().rstrip().splitlines()
    _end_with("".join(f"[rank {rank}] {line}\n" for line in lines) + f"[rank {rank}] aborting the whole job\n", 1)


def _end_with(text: str, code: int) -> NoReturn:
    JOB.speaks()
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
    JOB.end(code)
