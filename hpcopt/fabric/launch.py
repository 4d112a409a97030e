"""How a job starts, and how all its ranks end together: the launcher's environment, MPI initialisation, abort.

With any MPI library, an exception on one rank leaves the others waiting in a collective forever, and a launcher that
does not match the library starts N single-process jobs. This module handles both.

A launcher's variables are inherited: a program started by a rank (through a shell script or a Python subprocess) sees
the same variables, and users may set them by hand. Therefore:

- commands that need no ranks run on every process, whatever the variables say;
- the first process reports for all only if this process is a child of the launcher's own daemon; otherwise every
  process reports for itself, which may repeat a line N times but never loses one;
- the child of a rank that has initialised MPI is a single process, as MPI belongs to the rank; so is a process whose
  variables are inconsistent.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import stat
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from hpcopt.capacity import share
from hpcopt.errors import AgreedError, InputError, in_one_line, out_of_memory
from hpcopt.fabric.coming_up import watch_coming_up
from hpcopt.fabric.host_table import HostTable, alone, shared_table
from hpcopt.fabric.lingering import Lingering
from hpcopt.fabric.processes import about, name, status
from hpcopt.fabric.survivors import watch
from hpcopt.interrupts import listen_again

# variables for (number of processes, rank of this one) by launcher; the first consistent pair is used
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpiexec"),
    ("PMI_SIZE", "PMI_RANK", "an MPICH-based mpiexec"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
)
DAEMONS = {  # names of processes whose children are ranks
    *("hydra_pmi_proxy", "hydra_bstrap_pr"),
    *("mpirun", "mpiexec", "prterun", "prte", "prted", "orterun", "orted"),
    "slurmstepd",
}
LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")  # number of ranks that a daemon has started on its host
_READING = 0.1  # seconds given to a launcher to read a rank's output
_TOGETHER = 3.0  # seconds in which all ranks meet the same error, as over the environment
_MOMENT = 0.75  # seconds given to a launcher, or to the first process, to end a job

_meeting: list[Any] = []
"""The communicator, if there are ranks, on which those that fail wait for one another; nothing else uses it."""

_leaving: list[Any] = []
"""Likewise, on which those that have ended wait for the last."""

_tables: list[HostTable] = []
"""The table of this host's ranks, if there are ranks."""

_lingering: list[Lingering] = []
"""What keeps the launcher from ending the job before the others have told of this rank's death."""


def started() -> tuple[int, int, str]:
    """Return (number of processes, rank, name of the launcher) from the environment, or (1, 0, "")."""
    if not is_of_a_rank():
        for size, rank, launcher in LAUNCHERS:
            if _makes_sense(size, rank):
                return int(os.environ[size]), int(os.environ[rank]), launcher
    return 1, 0, ""


def _makes_sense(size: str, rank: str) -> bool:
    told = os.environ.get(size, ""), os.environ.get(rank, "")
    if not all(text.isascii() and text.isdigit() and len(text) < 10 for text in told) or int(told[1]) >= int(told[0]):
        return False
    return size != "PMI_SIZE" or "PMI_FD" not in os.environ or _is_open(os.environ["PMI_FD"])


def _is_open(descriptor: str) -> bool:
    """Return whether a descriptor is open here; programs mostly close all but three when they start others."""
    return Path(f"/proc/self/fd/{descriptor}").exists()


def is_launched() -> bool:
    """Return whether a launcher's daemon started this process as one of several."""
    return started()[0] > 1 and name(os.getppid()) in DAEMONS


@cache
def is_of_a_rank() -> bool:
    """Return whether this process is not a rank but was started, perhaps indirectly, by one that has loaded MPI."""
    pid = os.getppid()
    while pid > 1 and name(pid) not in DAEMONS:
        variables = [text.partition(b"=")[0].decode(errors="replace") for text in about(pid, "environ").split(b"\0")]
        if b"/libmpi" in about(pid, "maps") and any(rank in variables for _, rank, _ in LAUNCHERS):
            return True
        fields = status(pid)
        pid = int(fields[1]) if fields else 0
    return False


def is_joined() -> bool:
    """Return whether MPI is initialised and this process is one of several ranks."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not hasattr(mpi, "COMM_WORLD"):  # not loaded, or being imported
        return False
    return mpi.Is_initialized() and not mpi.Is_finalized() and mpi.COMM_WORLD.size > 1


def is_first() -> bool:
    """Return whether this process reports: rank 0, or, before MPI is initialised, the first process launched."""
    if is_joined():
        return bool(sys.modules["mpi4py.MPI"].COMM_WORLD.rank == 0)
    return not is_launched() or started()[1] == 0


def is_heard(stream: Any) -> bool:
    """Return whether this process should write to `stream`: it reports for all, or the stream is its own file."""
    if is_first():
        return True
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # not backed by a file
        return False


def variables(names: Iterable[str]) -> dict[str, str]:
    """Return those of the environment variables that are set."""
    return {name: os.environ[name] for name in names if name in os.environ}


def in_utf8() -> None:
    """Restart this program in UTF-8 mode if the locale selects another encoding for paths and files.

    Without it, files whose names have accents, such as names made from labels, can be neither opened nor created.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"  # for processes that this one starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def mpi_library() -> str | None:
    """Return the name and version of the loaded MPI library in one line; None if none is loaded."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None:
        return None
    first_line = str(mpi.Get_library_version()).splitlines()[0].split(",")[0]
    return " ".join(first_line.replace("Version:", "").strip("\x00").split())


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
        watch_coming_up(up, _ranks_here(), _MOMENT * (not is_first()), JOB.end)
        with ExitStack() as hidden:
            for name in _senseless():
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
            _lingering.append(Lingering(os.environ.get("PMI_FD", "")))
            watch(_tables[0], JOB.end, os.getppid() if is_launched() else None)
        atexit.register(_finalize)
    return MPI


def _ranks_here() -> int:
    """Return how many ranks this process's daemon has started on this host; 0 if unknown."""
    told = next((os.environ[name] for name in LOCAL_RANKS if os.environ.get(name, "").isdigit()), "0")
    return int(told) if is_launched() else 0


def _senseless() -> list[str]:
    """Return the variables that would make MPI take a single process for a rank of another launch."""
    prefixes = {"OMPI_COMM_WORLD_SIZE": ("OMPI_COMM_WORLD_", "PMIX_"), "PMI_SIZE": ("PMI_", "PMI2_", "PMIX_")}
    wrong = [
        prefix
        for size, rank, _ in LAUNCHERS
        if {size, rank} & os.environ.keys() and (is_of_a_rank() or not _makes_sense(size, rank))
        for prefix in prefixes.get(size, ())
    ]
    if not os.environ.get("PMIX_RANK", "0").isdecimal():
        wrong.append("PMIX_")
    return [name for name in os.environ if name.startswith(tuple(wrong))]


def _finalize() -> None:
    mpi = sys.modules["mpi4py.MPI"]
    if not mpi.Is_finalized():
        with suppress(mpi.Exception):
            for comm in _leaving:
                patiently(comm.Ibarrier())
        _say_end()
        mpi.Finalize()


def _say_end() -> None:
    """Let the other ranks of the host know that this process does not die, but ends."""
    for table in _tables:
        table.say_end()
    while _lingering:
        _lingering.pop().end()


def host_table() -> HostTable:
    """Return the table of this host's ranks, or, without others, one of this process's own."""
    return _tables[0] if _tables else alone()


def patiently(request: Any, awake: float = 0.0) -> None:
    """Wait for an MPI request: busily for `awake` seconds, then with sleeps, which leave the core to whoever works.

    MPI's own waits are busy: ranks that wait in MPI_Finalize slow down the one that still draws pictures.
    """
    began = time.perf_counter()
    while not request.Test():
        if time.perf_counter() - began > awake:
            time.sleep(1e-3)
        else:
            os.sched_yield()


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
        together = bool(_tables) and _tables[0].size == started()[0]
        echo = (_MOMENT, _READING)[together] if asked_to_end and started()[0] > 1 else 0.0
        return _MOMENT * (not is_first()) + echo

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


def end_on_defect() -> NoReturn:
    """End the job with the traceback of the exception being handled."""
    rank = started()[1] if not is_joined() else sys.modules["mpi4py.MPI"].COMM_WORLD.rank
    lines = traceback.format_exc().rstrip().splitlines()
    _end_with("".join(f"[rank {rank}] {line}\n" for line in lines) + f"[rank {rank}] aborting the whole job\n", 1)


def _end_with(text: str, code: int) -> NoReturn:
    JOB.speaks()
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
    JOB.end(code)


@contextmanager
def without(name: str) -> Iterator[None]:
    """Remove a variable from the environment inside the block, from a library that may reject its value."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value
