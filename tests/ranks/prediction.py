"""Calibrates the cluster of the ranks, and makes runs on it in turns; see `tests.prediction`.

    mpiexec -n 2 python -m mpi4py tests/ranks/prediction.py SPECIFICATIONS.json REPEATS FOLDER [quick]

Writes FOLDER/calibration-I.toml, one before every turn, and FOLDER/measured.json: name -> seconds of each repeat.
"""

from __future__ import annotations

import functools
import json
import os
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


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the core from other programs, which would be in the numbers; only root may."""
    if os.geteuid():
        yield
        return
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
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


def main(specifications: Path, repeats: int, folder: Path, *, quick: bool) -> None:
    specs = json.loads(specifications.read_text())
    for place, name in ((kernels, "_measure"), (network, "_timed"), (overhead, "_spent"), (MPICluster, "run")):
        undisturbing(place, name)
    seconds: dict[str, list[float]] = {name: [] for name in specs}
    with closing(join()) as cluster:
        first = cluster.processes.rank == 0
        for turn in range(repeats):
            found = calibrate(cluster, quick=quick)
            if first:
                (folder / f"calibration-{turn}.toml").write_text(toml(found))
                print(f"turn {turn}: calibrated in {found.measured.seconds:.0f} s", flush=True)
            for name, spec in specs.items():
                seconds[name].append(hpcopt.run(spec).result["seconds"])
    if first:
        (folder / "measured.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), quick="quick" in sys.argv[4:])
