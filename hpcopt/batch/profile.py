"""A cluster profile: what a cluster requires of every job, once for all jobs.

One file in TOML describes several clusters, a table for each. It is the one named by `HPCOPT_CLUSTERS`, else
`clusters.toml` in the current folder, else `~/.config/hpcopt/clusters.toml`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from hpcopt.annotations import Count, check_types, shown
from hpcopt.batch.duration import Duration, seconds
from hpcopt.batch.job import Job
from hpcopt.errors import InputError
from hpcopt.fabric.launch import variables
from hpcopt.registry import nearest
from hpcopt.spec.toml_file import read_tables
from hpcopt.spec.validation import checked

FILE = "clusters.toml"
_NAMED = "HPCOPT_CLUSTERS"
_HOME = Path(".config") / "hpcopt" / FILE  # in the home folder

Word = Annotated[str, Meta(pattern=r"^[^\s\"'#]+$", extra={"words": "text without spaces, quotes and #"})]
"""A value of an `#SBATCH` line: it must not end the line or begin a comment."""

Line = Annotated[str, Meta(pattern=r"^[^\n\r]+$", extra={"words": "one line of text"})]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The largest job that a cluster takes; it is checked before a job is submitted.

    Parameters
    ----------
    nodes, tasks_per_node
        Most nodes of a job, and most ranks on a node.
    time
        Longest time limit.
    """

    nodes: Count | None = None
    tasks_per_node: Count | None = None
    time: Duration | None = None

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, kw_only=True)
class ClusterProfile:
    """What a cluster requires of every job.

    Parameters
    ----------
    partition, account, qos, constraint, reservation
        SLURM's options of these names.
    options
        Further options of sbatch, such as "--mem-per-cpu=2G".
    setup
        Lines of bash at the beginning: `source`, `module use`, variables.
    modules
        What `module load` loads then.
    environment
        The virtual environment with hpcopt, as seen by the nodes; a relative path is taken from the folder in which the
        job was submitted. Default: that of the program that submits.
    launcher
        How ranks are started: "srun", "mpiexec", or "auto": srun for MPICH and Intel MPI if SLURM has `srun_mpi`, else
        mpiexec.
    srun_mpi
        The process-management interface of srun (`srun --mpi=list`): "pmi2" for MPICH and Intel MPI, "pmix" for Open
        MPI where its version fits.
    container
        An image with hpcopt and its MPI, in which every rank runs.
    runtime
        The program that runs it.
    limits
        The largest job that the cluster takes.

    Raises
    ------
    InputError
        For a value of a wrong type or form.
    """

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    reservation: Word | None = None
    options: tuple[
        Annotated[str, Meta(pattern=r"^--?[^\s\"'#]+$", extra={"words": 'text such as "--mem=2G"'})], ...
    ] = ()
    modules: tuple[Word, ...] = ()
    setup: tuple[Line, ...] = ()
    environment: Line | None = None
    launcher: Literal["auto", "srun", "mpiexec"] = "auto"
    srun_mpi: Word = "pmi2"
    container: Line | None = None
    runtime: Literal["apptainer", "singularity"] = "apptainer"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        check_types(self)

    def check(self, job: Job) -> None:
        """Raise an error for a job beyond the limits.

        Raises
        ------
        InputError
            With the limit.
        """
        most = self.limits
        for name in ("nodes", "tasks_per_node"):
            limit, given = getattr(most, name), getattr(job, name)
            if limit is not None and given > limit:
                raise InputError(f"{name}: at most {limit} by the limits of the cluster profile, got {given}")
        if most.time is not None and seconds(job.time) > seconds(most.time):
            raise InputError(f"time: at most {most.time} by the limits of the cluster profile, got {job.time}")


def profile_file() -> Path | None:
    """Return the file with cluster profiles; None if there is none."""
    named = variables([_NAMED]).get(_NAMED)
    if named:
        return Path(named)
    return next((path for path in (Path(FILE), _home()) if path.is_file()), None)


def read_profile(name: str | None = None) -> ClusterProfile:
    """Return a cluster profile from the file of `profile_file`.

    Parameters
    ----------
    name
        The name of its table. None: that of the only table; without a file, a profile with defaults.

    Raises
    ------
    InputError
        With file, line and key, for any error in the file; for a name that is not in it; for None if there are several
        tables.
    """
    path = profile_file()
    if path is None:
        if name is None:
            return ClusterProfile()
        raise InputError(f"no file with cluster profiles: neither {FILE} here, nor ~/{_HOME}, nor {_NAMED} is set")
    tables, origin = read_tables(path)
    if not tables:
        raise InputError(f"{path}: no cluster; expected a table for each: [NAME], with partition, account and so on")
    known = ", ".join(tables)
    if name is None and len(tables) != 1:
        raise InputError(f"{path}: which of its clusters? known: {known}")
    chosen = next(iter(tables)) if name is None else name
    if chosen not in tables:
        raise InputError(f"{path}: no cluster {shown(chosen)}{nearest(chosen, tables)}; known: {known}")
    if not isinstance(tables[chosen], dict):
        raise origin.error((chosen,), f"expected a table for each cluster: [{chosen}]")
    return checked(tables[chosen], ClusterProfile, (chosen,), origin)


def _home() -> Path:
    try:
        return Path.home() / _HOME
    except RuntimeError:  # no home folder
        return _HOME
