"""The commands that make the runs of a study."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hpcopt.scaling.folder import SPEC, WARM_UP
from hpcopt.scaling.points import Point

_CROWDED = (  # Open MPI refuses more ranks than cores without them; other MPIs ignore them
    "OMPI_MCA_rmaps_base_oversubscribe=1",
    "OMPI_MCA_hwloc_base_binding_policy=none",
    "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy=none",
)


def arguments(point: Point, folder: Path) -> tuple[str, ...]:
    """Return the arguments of hpcopt that make a point in the folder of its study."""
    place = folder / point.name
    return ("run", str(place / SPEC), "--out", str(place), "--overwrite", "--quiet")


def warm_up_arguments(point: Point, folder: Path) -> tuple[str, ...]:
    """Return those of a run that is discarded: one iteration, which compiles the kernels and reads the data once.

    Points after it find the kernels compiled and the data in memory.
    """
    place = folder / WARM_UP
    few = ("--set", "cluster.workers=1") if point.place.is_virtual else ()
    given = ("--set", "stop.iterations=1", "--set", "output.record_every=0", *few)
    return ("run", str(folder / point.name / SPEC), "--out", str(place), "--overwrite", "--quiet", *given)


def started(point: Point, given: Sequence[str], launch: str, *, crowded: bool = False) -> list[str]:
    """Return a command that starts hpcopt with the ranks and threads of a point.

    Parameters
    ----------
    given
        The arguments of hpcopt.
    launch
        The command that starts ranks.
    crowded
        Whether there are more ranks than cores.
    """
    settings = [f"{name}_NUM_THREADS={point.place.threads}" for name in ("OMP", "NUMBA")]
    settings += _CROWDED if crowded else ()
    program = [sys.executable, "-m", "hpcopt", *given]
    ranks = [] if point.place.is_virtual else [*launcher(launch), "-n", str(point.place.ranks)]
    return ["env", *settings, *ranks, *program]


def again(name: str, cluster: str, ranks: int, threads: int) -> str:
    """Return what a person types in the folder of a study to make a finished point again."""
    launch = "" if cluster == "virtual" else f"OMP_NUM_THREADS={threads} mpiexec -n {ranks} "
    return f"{launch}hpcopt rerun {shlex.quote(name)}"


def launcher(launch: str) -> list[str]:
    """Return the words of `launch`; of an MPI beside this Python, its own program, as that is the one that fits."""
    program, *options = shlex.split(launch)
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    return [beside or program, *options]
