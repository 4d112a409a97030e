"""How a job starts and how it fails together: launchers' environments, the singleton trap, the abort.

An exception on one rank leaves the others waiting in a collective for ever, with every MPI; and a launcher that
does not fit the MPI library starts N processes that each believe to be alone. Both end here.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from hpcopt.errors import AgreedError, InputError

# (number of processes, this one's number), as launchers tell them; the first that is set counts
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpiexec"),
    ("PMI_SIZE", "PMI_RANK", "an mpiexec of the MPICH family"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
)


def started() -> tuple[int, int, str]:
    """Return (processes, this one's number, the launcher in words) as the environment tells, else (1, 0, "")."""
    for size, rank, launcher in LAUNCHERS:
        if size in os.environ and rank in os.environ:
            return int(os.environ[size]), int(os.environ[rank]), launcher
    return 1, 0, ""


def is_joined() -> bool:
    """Tell whether MPI is up and this process is one of several ranks."""
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized() and mpi.COMM_WORLD.size > 1


def is_first() -> bool:
    """Tell whether this process is the one that speaks: rank 0, or as the launcher counts before MPI is up."""
    if is_joined():
        return bool(sys.modules["mpi4py.MPI"].COMM_WORLD.rank == 0)
    return started()[1] == 0


def mpi_library() -> str | None:
    """Return the name and version of the MPI library in use, one line; None if none is loaded."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None:
        return None
    first_line = str(mpi.Get_library_version()).splitlines()[0].split(",")[0]
    return " ".join(first_line.replace("Version:", "").strip("\x00").split())


def refuse_singletons() -> None:
    """Refuse to go on where several processes were started but MPI says that each is alone.

    Raises
    ------
    InputError
        With the remedy.
    """
    processes, _, launcher = started()
    if processes == 1:
        return
    from mpi4py import MPI

    if MPI.COMM_WORLD.size > 1:
        return
    remedy = (
        "srun --mpi=pmi2 (MPICH, Intel MPI) or mpiexec inside the job (Open MPI)"
        if launcher == "srun"
        else "the mpiexec that came with this MPI (in a virtual environment: .venv/bin/mpiexec)"
    )
    raise InputError(
        f"{processes} processes were started by {launcher}, but each is alone in its own world: the launcher does not "
        f"fit the MPI library ({mpi_library()}); start with {remedy}"
    )


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
        world = sys.modules["mpi4py.MPI"].COMM_WORLD
        rank = world.rank
        if isinstance(error, KeyboardInterrupt):
            if rank == 0:
                sys.stderr.write("hpcopt: error: interrupted\n")
                sys.stderr.flush()
            world.Abort(130)
        if isinstance(error, InputError):
            text = f"hpcopt: error: {error} (on rank {rank})\n"
        else:
            lines = traceback.format_exc().rstrip().splitlines()
            text = "".join(f"[rank {rank}] {line}\n" for line in lines) + f"[rank {rank}] ends the whole job\n"
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()
        world.Abort(1)
        raise


@contextmanager
def without(name: str) -> Iterator[None]:
    """Leave a variable out of the environment for a while: a library that reads it may refuse what it says."""
    value = os.environ.pop(name, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[name] = value
