"""How a job starts and how it ends together: launchers' environments, MPI coming up, the abort.

An exception on one rank leaves the others waiting in a collective for ever, with every MPI; and a launcher that
does not fit the MPI library starts N single-process jobs. Both end here.

A launcher's variables are inherited: a program that a rank starts (a shell script, a Python program's subprocess) finds
them as the rank does, and so does whoever sets them by hand. So

- what needs no ranks is done by every process, whatever the variables say;
- one process speaks for all, the first, only where a launcher's own daemon is this one's parent; any other speaks for
  itself, which may say a line N times but never loses one;
- the child of a rank that has begun MPI is alone, as MPI is the rank's; so is a process whose variables make no sense.
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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from hpcopt.errors import AgreedError, InputError

# (number of processes, this one's number), as launchers tell them; the first that are sound count
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpiexec"),
    ("PMI_SIZE", "PMI_RANK", "an MPICH-based mpiexec"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
)
DAEMONS = {  # names of the processes whose children are ranks
    *("hydra_pmi_proxy", "hydra_bstrap_pr"),
    *("mpirun", "mpiexec", "prterun", "prte", "prted", "orterun", "orted"),
    "slurmstepd",
}
LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")  # how many ranks a daemon has started on its host
COMING_UP = 300.0  # seconds until MPI counts as hanging
_READING = 0.1  # seconds in which a launcher reads what a rank has written
_MOMENT = 0.75  # seconds in which a launcher, or the first process, ends a job


def started() -> tuple[int, int, str]:
    """Return (processes, this one's number, the launcher in words) as the environment tells, else (1, 0, "")."""
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
    """Tell whether a file is open here; programs that start others mostly close all but three."""
    return Path(f"/proc/self/fd/{descriptor}").exists()


def is_launched() -> bool:
    """Tell whether a launcher's daemon has started this process as one of several."""
    return started()[0] > 1 and _name(os.getppid()) in DAEMONS


@cache
def is_of_a_rank() -> bool:
    """Tell whether this process is no rank but was started, perhaps indirectly, by one that has loaded MPI."""
    pid = os.getppid()
    while pid > 1 and _name(pid) not in DAEMONS:
        variables = [text.partition(b"=")[0].decode(errors="replace") for text in _about(pid, "environ").split(b"\0")]
        if b"/libmpi" in _about(pid, "maps") and any(rank in variables for _, rank, _ in LAUNCHERS):
            return True
        after_name = _about(pid, "stat").rpartition(b")")[2].split()  # state, parent
        pid = int(after_name[1]) if after_name else 0
    return False


def _name(pid: int) -> str:
    return _about(pid, "comm").decode(errors="replace").strip()


def _about(pid: int, what: str) -> bytes:
    """Return what Linux tells of a process, nothing if it does not."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def is_joined() -> bool:
    """Tell whether MPI is up and this process is one of several ranks."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not hasattr(mpi, "COMM_WORLD"):  # or it is being imported
        return False
    return mpi.Is_initialized() and not mpi.Is_finalized() and mpi.COMM_WORLD.size > 1


def is_first() -> bool:
    """Tell whether this process is one that speaks: rank 0, or before MPI is up the first that was launched."""
    if is_joined():
        return bool(sys.modules["mpi4py.MPI"].COMM_WORLD.rank == 0)
    return not is_launched() or started()[1] == 0


def is_heard(stream: Any) -> bool:
    """Tell whether what this process writes to `stream` is wanted: it speaks for all, or the file is its own."""
    if is_first():
        return True
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # no file behind it
        return False


def in_utf8() -> None:
    """Begin this program again if the locale has made another encoding than UTF-8 that of paths and files.

    In such a process a path with an accent, or a label that becomes one, can be neither opened nor made.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"  # for processes that this one starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def mpi_library() -> str | None:
    """Return the name and version of the MPI library in use, one line; None if none is loaded."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None:
        return None
    first_line = str(mpi.Get_library_version()).splitlines()[0].split(",")[0]
    return " ".join(first_line.replace("Version:", "").strip("\x00").split())


def bring_up() -> Any:
    """Bring MPI up, unless it is; return mpi4py's module.

    mpi4py holds Python's lock while MPI comes up. That lasts until the last rank is there, which may never be: so it is
    called without the lock, and an interrupt or the end of our patience finds a process that listens.

    Raises
    ------
    ImportError, RuntimeError
        If no MPI can be loaded.
    """
    import mpi4py

    mpi4py.rc.initialize = False
    from mpi4py import MPI

    if not MPI.Is_initialized():
        library = ctypes.CDLL(MPI.__file__)  # it is linked to the one MPI that mpi4py uses
        up = threading.Event()
        threading.Thread(target=_watch_coming_up, args=(up,), daemon=True).start()
        with ExitStack() as hidden:
            for name in _senseless():
                hidden.enter_context(without(name))
            library.MPI_Init_thread(None, None, ctypes.c_int(MPI.THREAD_MULTIPLE), ctypes.byref(ctypes.c_int()))
        up.set()
        for comm in (MPI.COMM_SELF, MPI.COMM_WORLD):
            comm.Set_errhandler(MPI.ERRORS_RETURN)  # to be raised, as mpi4py does where it brings MPI up
        atexit.register(_finalize)
    return MPI


def _senseless() -> list[str]:
    """Return the variables by which MPI would take a process that is alone for a rank of a launch that it is not of."""
    prefixes = {"OMPI_COMM_WORLD_SIZE": ("OMPI_COMM_WORLD_", "PMIX_"), "PMI_SIZE": ("PMI_", "PMI2_", "PMIX_")}
    wrong = [
        prefix
        for size, rank, _ in LAUNCHERS
        if {size, rank} & os.environ.keys() and (is_of_a_rank() or not _makes_sense(size, rank))
        for prefix in prefixes.get(size, ())
    ]
    return [name for name in os.environ if name.startswith(tuple(wrong))]


def _finalize() -> None:
    mpi = sys.modules["mpi4py.MPI"]
    if not mpi.Is_finalized():
        mpi.Finalize()


def _watch_coming_up(up: threading.Event) -> None:
    """End the job if MPI cannot come up, as a rank of this host has ended before, or does not."""
    begun = time.monotonic()
    while not up.wait(1.0):
        lost, late = _has_lost_a_rank(), time.monotonic() - begun > COMING_UP
        if (lost or late) and not up.wait(_MOMENT * (not is_first())):
            why = (
                "a rank exited before MPI was initialised"
                if lost
                else f"MPI was not initialised within {COMING_UP:g} s"
            )
            os.write(2, f"hpcopt: error: {why}\n".encode())
            JOB.end(1)


def _has_lost_a_rank() -> bool:
    """Tell whether the daemon that has started this process has fewer children than it has started ranks here."""
    told = next((os.environ[name] for name in LOCAL_RANKS if os.environ.get(name, "").isdigit()), "0")
    if not is_launched():
        return False
    after_names = (_about(int(path.name), "stat").rpartition(b")")[2].split() for path in Path("/proc").glob("[0-9]*"))
    parent = str(os.getppid()).encode()
    alive = sum(1 for state, *others in filter(None, after_names) if others[0] == parent and state != b"Z")
    return alive < int(told)


def refuse_singletons() -> None:
    """Refuse to go on where several processes were started but MPI says that each is alone.

    Raises
    ------
    InputError
        With the remedy.
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
        remedy += f"; if this process was started alone, unset {size} and {rank}, which it inherited"
    raise InputError(
        f"{processes} processes were started by {launcher}, but each has an MPI world of size 1: the launcher does not "
        f"match the MPI library ({mpi_library()}); start with {remedy}"
    )


def leave_to_the_first() -> None:
    """Give the first process a moment to tell an error that all have: some launchers end a job at its first failure."""
    if not is_joined():
        time.sleep(_MOMENT)


class _Job:
    """How an interrupted process ends (`hpcopt.interrupts.Ending`)."""

    def patience(self, *, asked_to_end: bool) -> float:
        """Return no time for the first process, and a moment for others, which the first may end meanwhile.

        One moment more for SIGTERM: when one rank has ended, Open MPI's launcher sends that to all others, and soon
        something stronger.
        """
        return _MOMENT * (not is_first()) + _MOMENT * (asked_to_end and started()[0] > 1)

    def place(self) -> str:
        return "" if is_first() else f" on rank {started()[1]}"

    def end(self, code: int) -> NoReturn:
        """End this process, and the job with it.

        MPI's abort ends the job. Before MPI is up, launchers take a process that exits, with whatever code, for one
        that needed no MPI, and the others would wait for it in MPI_Init: so it dies of a signal. A launcher that ends a
        job may not read what was written last, so it is given time for that before.
        """
        if is_launched():
            time.sleep(_READING)
        if is_joined():
            signal.alarm(1)  # should the abort hang, too
            sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(code)
        if is_launched():
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(code)


JOB = _Job()


@contextmanager
def abort_on_error() -> Iterator[None]:
    """End the whole MPI job if the body raises on this rank, after printing the traceback with the rank's number.

    An `AgreedError` passes through: all ranks raise it together and leave in order.
    """
    try:
        yield
    except (AgreedError, SystemExit):
        raise
    except BaseException as error:
        if not is_joined():
            raise
        rank = sys.modules["mpi4py.MPI"].COMM_WORLD.rank
        if isinstance(error, KeyboardInterrupt):  # of a program that uses us: the command line is never raised one
            _end_with("hpcopt: error: interrupted\n" if rank == 0 else "", 130)
        if isinstance(error, InputError):
            _end_with(f"hpcopt: error: {error} (on rank {rank})\n", 1)
        end_on_defect()


def end_on_defect() -> NoReturn:
    """End the job with the traceback of the error that is being handled."""
    rank = started()[1] if not is_joined() else sys.modules["mpi4py.MPI"].COMM_WORLD.rank
    lines = traceback.format_exc().rstrip().splitlines()
    _end_with("".join(f"[rank {rank}] {line}\n" for line in lines) + f"[rank {rank}] ends the whole job\n", 1)


def _end_with(text: str, code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
    JOB.end(code)


@contextmanager
def without(name: str) -> Iterator[None]:
    """Leave a variable out of the environment for a while: a library that reads it may refuse what it says."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value
