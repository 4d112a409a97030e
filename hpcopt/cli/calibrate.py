"""`hpcopt calibrate`: measures this cluster, so that the virtual cluster can take as long as it does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from hpcopt.files import written_whole
from hpcopt.outputs import check_file


def calibrate(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.toml", help="The file to write.")] = Path(
        "calibration.toml"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Smaller data, shorter messages, fewer repetitions.")] = False,
) -> int:
    """Measure this cluster for the virtual one.

    Under mpiexec or srun: kernels, solvers' own code and the network of the ranks; alone, without a network. The
    virtual cluster uses the file by [cluster] calibration = "FILE.toml".
    """
    from hpcopt.calibration.measure import calibrate as measure
    from hpcopt.calibration.text import toml, words
    from hpcopt.fabric.agreement import agreed
    from hpcopt.fabric.join import join

    with closing(join()) as cluster:
        group = cluster.processes
        with agreed(group, one_tells=True):
            if group.rank == 0:
                check_file(output)
        found = measure(cluster, quick=quick)
        with agreed(group, one_tells=True):
            if group.rank == 0:
                with written_whole(output) as file:
                    file.write(toml(found))
                print(*words(found), f"written to {output}", sep="\n")
    return 0
