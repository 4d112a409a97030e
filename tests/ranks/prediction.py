"""Calibrates the cluster of the ranks, and makes runs on it in turns; see `tests.prediction`.

    mpiexec -n 2 python -m mpi4py tests/ranks/prediction.py SPECIFICATIONS.json REPEATS FOLDER [quick]

Writes FOLDER/calibration-I.toml, one before every turn, and FOLDER/measured.json: name -> seconds of each repeat. Adds
to those that are there.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from mpi4py import MPI

import hpcopt
from hpcopt.calibration import kernels, network, overhead
from hpcopt.calibration.measure import calibrate
from hpcopt.calibration.text import toml
from hpcopt.fabric.join import join
from hpcopt.fabric.launch import patiently
from hpcopt.fabric.mpi.cluster import MPICluster
from tests.ranks.slices import PRIORITY
from tests.ranks.slices import __file__ as slices


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the core from other programs, which would be in the numbers; only root may."""
    if os.geteuid():
        yield
        return
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def undisturbing(where: Any, name: str) -> None:
    """Let a function or method that times something keep its core meanwhile, and only then."""
    timed: Callable[..., Any] = getattr(where, name)

    @functools.wraps(timed)
    def alone(*given: Any, **named: Any) -> Any:
        patiently(MPI.COMM_WORLD.Ibarrier())  # a rank that waits for others that are disturbed would disturb them more
        with undisturbed():
            return timed(*given, **named)

    setattr(where, name, alone)


@contextmanager
def sharing_cores() -> Iterator[None]:
    """Bind each rank to a core, which it shares in slices of time if there are more ranks than cores."""
    world, cores = MPI.COMM_WORLD, sorted(os.sched_getaffinity(0))
    pids = world.gather(os.getpid())
    os.sched_setaffinity(0, {cores[world.rank % len(cores)]})
    if world.size <= len(cores) or os.geteuid() or pids is None:
        yield
        return
    command = ["taskset", "--cpu-list", ",".join(map(str, cores)), sys.executable, slices, *map(str, pids)]
    with subprocess.Popen(command) as slicing:
        try:
            yield
        finally:
            slicing.terminate()


def main(specifications: Path, repeats: int, folder: Path, *, quick: bool) -> None:
    specs = json.loads(specifications.read_text())
    for place, name in ((kernels, "_measure"), (network, "_timed"), (overhead, "_spent"), (MPICluster, "run")):
        undisturbing(place, name)
    measured = folder / "measured.json"
    seconds: dict[str, list[float]] = json.loads(measured.read_text()) if measured.exists() else {}
    done = len(next(iter(seconds.values()), []))
    with closing(join()) as cluster, sharing_cores():
        first = cluster.processes.rank == 0
        for turn in range(done, done + repeats):
            found = calibrate(cluster, quick=quick)
            if first:
                (folder / f"calibration-{turn}.toml").write_text(toml(found))
                print(f"turn {turn}: calibrated in {found.measured.seconds:.0f} s", flush=True)
            for name, spec in specs.items():
                seconds.setdefault(name, []).append(hpcopt.run(spec).result["seconds"])
            if first:
                measured.write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), quick="quick" in sys.argv[4:])
