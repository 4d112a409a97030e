"""`hpcopt submit SPEC.toml`: a run, a comparison, or an array of them as a job of SLURM."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from hpcopt.cli.options import Force, Out, Overrides, SolverFile, Spec, at_least, overridden
from hpcopt.fabric.launch import is_first
from hpcopt.files import written_whole

if TYPE_CHECKING:
    from hpcopt.batch.submission import Submission


Nodes = Annotated[int, typer.Option(metavar="N", parser=at_least(1), help="Nodes of the job.")]
TasksPerNode = Annotated[int, typer.Option(metavar="N", parser=at_least(1), help="Ranks on each node.")]
CpusPerTask = Annotated[int, typer.Option(metavar="N", parser=at_least(1), help="Cores, and threads, of a rank.")]
Time = Annotated[str, typer.Option(metavar="H:M:S", help="Time limit, in one of SLURM's forms.")]
Profile = Annotated[
    str | None, typer.Option(metavar="NAME", help="A cluster in clusters.toml; default: the only one in it.")
]
Array = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY.PATH=V,V,...",
        help="An array of jobs, one for each value of a key; may be repeated for all combinations.",
    ),
]
AtOnce = Annotated[
    int | None, typer.Option(metavar="N", parser=at_least(1), help="Most jobs of the array at the same time.")
]
Requeue = Annotated[
    bool, typer.Option(help="Let the job start again after a checkpoint, a preemption or the failure of a node.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the script; write and submit nothing.")]


def submit(
    spec: Spec,
    nodes: Nodes = 1,
    tasks_per_node: TasksPerNode = 1,
    cpus_per_task: CpusPerTask = 1,
    time: Time = "1:00:00",
    profile: Profile = None,
    array: Array = None,
    at_once: AtOnce = None,
    requeue: Requeue = True,
    dry_run: DryRun = False,
    overrides: Overrides = None,
    out: Out = None,
    force: Force = False,
    solver_file: SolverFile = None,
) -> int:
    """Submit a specification to SLURM.

    Checks the specification here, without reading the data; writes job.sbatch to the run's folder, and submits it from
    the current folder. The job continues from its last checkpoint when it starts again, or is submitted again.
    """
    from hpcopt.batch.job import Job
    from hpcopt.batch.profile import read_profile
    from hpcopt.batch.script import script
    from hpcopt.batch.submission import submission

    if not is_first():  # of several processes one submits
        return 0
    if at_once is not None and not array:
        raise typer.BadParameter("--at-once: only for an --array")
    cluster = read_profile(profile)
    if cluster.environment is None and cluster.container is None:
        cluster = replace(cluster, environment=sys.prefix)
    job = Job(
        name=re.sub(r"[^\w.=-]+", "-", spec.stem) or "hpcopt",
        nodes=nodes,
        tasks_per_node=tasks_per_node,
        cpus_per_task=cpus_per_task,
        time=time,
        at_once=at_once,
        requeue=requeue,
    )
    cluster.check(job)
    given, options = overridden(overrides, None, solver_file), ("--force",) if force else ()
    ready = submission(spec, job, given, out, array or (), options)
    text = script(ready.job, cluster)
    if dry_run:
        print(text, end="")
        return 0
    return _submitted(ready, text)


def _submitted(ready: Submission, text: str) -> int:
    """Write the script to the folder of the run, submit it, and say how to follow it."""
    from hpcopt.batch.queue import submit as to_queue
    from hpcopt.batch.submission import SCRIPT

    path = ready.folder / SCRIPT
    ready.folder.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write(text)
    number = to_queue(path)
    output = ready.output(number)
    print(f"job {number}: {path}")
    for missing in ready.missing:
        print(f"note: {missing} is not here; the nodes must see it")
    print(f"  output      tail -F {output}")
    print(f"  state       squeue --jobs={number}")
    print(
        f"  checkpoint  scancel --signal=USR1 --batch {number}    (the job starts again, unless --no-requeue is given)"
    )
    print(f"  end         scancel {number}")
    return 0
