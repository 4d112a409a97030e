"""How a job is started: the launcher's environment, and which process this one is.

A launcher's variables are inherited: a program started by a rank (through a shell script or a Python subprocess) sees
the same variables, and users may set them by hand. Therefore:

- commands that need no ranks run on every process, whatever the variables say;
- the first process reports for all only if this process is a child of the launcher's own daemon; otherwise every
  process reports for itself, which may repeat a line N times but never loses one;
- the child of a rank that has initialised MPI is a single process, as MPI belongs to the rank; so is a process whose
  variables are inconsistent.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hpcopt.fabric.processes import about, name, status

# variables for (number of processes, rank of this one) by launcher; the first consistent pair is used
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpiexec"),
    ("PMI_SIZE", "PMI_RANK", "an MPICH-based mpiexec"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
)
OPEN_MPI = {"mpirun", "mpiexec", "prterun", "prte", "prted", "orterun", "orted"}
DAEMONS = {*OPEN_MPI, "hydra_pmi_proxy", "hydra_bstrap_pr", "slurmstepd"}  # processes whose children are ranks
LOCAL_RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")  # number of ranks that a daemon has started on its host


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


def launcher() -> str:
    """Return the name of the launcher's daemon that started this process as one of several; empty if none did."""
    daemon = name(os.getppid())
    return daemon if started()[0] > 1 and daemon in DAEMONS else ""


def is_launched() -> bool:
    """Return whether a launcher's daemon started this process as one of several."""
    return bool(launcher())


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


def tolerates_deaths() -> bool:
    """Return whether Open MPI's launcher was told to let ranks outlive others: `mpiexec --with-ft ulfm`."""
    return os.environ.get("OMPI_MCA_mpi_ft_enable", "").lower() in {"1", "true", "yes"}  # noqa: SIM112


_heirs: list[bool] = []
"""Not empty if this process reports in the place of one that has died."""


def take_the_floor() -> None:
    """Let this process report from now on, as all before it have died."""
    _heirs.append(True)


def is_first() -> bool:
    """Return whether this process reports: rank 0, or, before MPI is initialised, the first process launched."""
    if _heirs:
        return True
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


def ranks_here() -> int:
    """Return how many ranks this process's daemon has started on this host; 0 if unknown."""
    told = next((os.environ[name] for name in LOCAL_RANKS if os.environ.get(name, "").isdigit()), "0")
    return int(told) if is_launched() else 0


def connection() -> str:
    """Return the descriptor of this process's connection to an MPICH-based launcher; empty: it has none."""
    return os.environ.get("PMI_FD", "")


def senseless() -> list[str]:
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


@contextmanager
def without(name: str) -> Iterator[None]:
    """Remove a variable from the environment inside the block, from a library that may reject its value."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value
