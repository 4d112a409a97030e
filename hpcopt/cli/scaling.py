"""`hpcopt scaling plan|submit|status|collect|report STUDY.toml`: one problem on many numbers of ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcopt.cli.options import Quiet, at_least
from hpcopt.errors import InputError
from hpcopt.fabric.launch import started

if TYPE_CHECKING:
    from hpcopt.scaling.plan import Plan
    from hpcopt.scaling.points import Point
    from hpcopt.scaling.status import Standing
    from hpcopt.scaling.study import Study

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder of the study; default: output.folder, else runs/STUDY."),
]
Each = Annotated[bool, typer.Option("--points", help="Print a line for each point.")]


def plan(study: StudyFile, out: Out = None, each: Each = False) -> int:
    """Tell what a study will run where, and what that costs at most; nothing is run."""
    planned, stands = _planned(study, out)
    if each:
        _tell_points(planned.points, stands)
    else:
        _tell_places(planned, stands)
    left_out = {(point.series, point.place.words()): why for point, why in planned.impossible}
    for (series, place), why in left_out.items():
        print(f"left out: {series}, {place}: {why}")
    seconds = planned.study.table.time_limit
    print(f"{len(planned.points)} points, at most {planned.core_hours:.3g} core-hours ({seconds:g} s a point)")
    _tell_expected(planned, stands)
    _warn(planned)
    return 0


def submit(
    study: StudyFile,
    out: Out = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be started, and start nothing.")] = False,
    profile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With SLURM: a cluster in clusters.toml; default: the only one in it."),
    ] = None,
    tasks_per_node: Annotated[
        int | None, typer.Option(metavar="N", parser=at_least(1), help="With SLURM: most ranks on each node.")
    ] = None,
    array: Annotated[
        bool, typer.Option("--array", help="With SLURM: a job for each point, not one for all that fit.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Start the points that are not done; those that have failed are started again.

    On this machine they are made one after another; what an interrupted submission has not made, the next one makes.
    """
    from hpcopt.scaling.submit import submit as start
    from hpcopt.scaling.submit import to_start

    planned, stands = _planned(study, out)
    if planned.study.table.on != "slurm" and (profile is not None or tasks_per_node is not None or array):
        raise InputError(
            'profile, tasks_per_node and array are for studies with on = "slurm" in [scaling]; leave them out'
        )
    left = to_start(planned.points, stands)
    if not quiet:
        _warn(planned)
        print(f"{len(planned.points) - len(left)} of {len(planned.points)} points are done or under way", flush=True)
    if planned.study.table.on == "slurm":
        return _to_slurm(planned.study, left, profile, tasks_per_node, array=array, dry_run=dry_run)
    if dry_run:
        _tell_commands(planned, left)
        return 0
    failed = start(planned.study, left, quiet=quiet)
    if failed:
        raise InputError(f"{failed} of {len(left)} points have failed: hpcopt scaling status {study} names them")
    return 0


def status(study: StudyFile, out: Out = None, each: Each = False) -> int:
    """Tell how many points are done, running, waiting, failed or missing, and why."""
    planned, stands = _planned(study, out)
    counts = Counter(one.stage.value for one in stands.values())
    print(", ".join(f"{counts[stage]} {stage}" for stage in ("done", "running", "waiting", "failed", "missing")))
    from hpcopt.scaling.status import Stage

    shown = [p for p in planned.points if each or stands[p.name].stage in {Stage.FAILED, Stage.RUNNING}]
    _tell_points(shown, stands)
    return 0


def collect(study: StudyFile, out: Out = None) -> int:
    """Write points.csv, a row for each finished point, and name the points whose result is wrong."""
    from hpcopt.scaling.collect import collect as collecting
    from hpcopt.scaling.collect import write_rows

    planned, _ = _planned(study, out)
    rows = collecting(planned.study, planned.points)
    wrong = [row for row in rows if row.faults]
    for row in wrong:
        print(f"wrong: {row.point}: {row.faults}")
    print(f"{len(rows)} of {len(planned.points)} points have finished, and {len(rows) - len(wrong)} are right")
    print(f"table: {write_rows(planned.study.folder, rows)}")
    return 0


def report(study: StudyFile, out: Out = None) -> int:
    """Write a report about the finished points, with tables and pictures, and one file with the whole study."""
    from hpcopt.scaling.report import report as write

    planned, stands = _planned(study, out)
    for file in write(planned.study, planned.points, stands):
        print(file)
    return 0


def _planned(file: Path, out: Path | None) -> tuple[Plan, dict[str, Standing]]:
    """Return the plan of a study, and how far each of its points is."""
    if started()[0] > 1:
        raise InputError("a study starts the ranks of its runs itself; start it without mpiexec or srun")
    from hpcopt.scaling.folder import read_jobs
    from hpcopt.scaling.plan import plan as planning
    from hpcopt.scaling.slurm import states
    from hpcopt.scaling.status import standings
    from hpcopt.scaling.study import read_study
    from hpcopt.scaling.submit import local_cores

    study = read_study(file, out)
    jobs = read_jobs(study.folder)
    planned = planning(study, None if study.table.on == "slurm" else local_cores())
    return planned, standings(planned.points, study.folder, jobs, states(jobs))


def _to_slurm(
    study: Study, left: Sequence[Point], profile: str | None, tasks_per_node: int | None, *, array: bool, dry_run: bool
) -> int:
    """Submit the jobs that make points, or print their scripts."""
    from hpcopt.batch.profile import read_profile
    from hpcopt.scaling.slurm import jobs_for, text_of
    from hpcopt.scaling.slurm import submit as to_queue
    from hpcopt.scaling.submit import check

    cluster = read_profile(profile)
    jobs = jobs_for(study, left, cluster, tasks_per_node=tasks_per_node, array=array)
    if dry_run:
        for job in jobs:
            print(text_of(job, cluster))
        return 0
    check(study)
    for job, number in zip(jobs, to_queue(study, jobs, cluster), strict=True):
        count = sum(map(len, job.tasks))
        print(f"job {number}: {count} point{'s' * (count != 1)}", flush=True)
    return 0


def _tell_points(points: Sequence[Point], stands: dict[str, Standing]) -> None:
    for point in points:
        one = stands[point.name]
        print(f"{one.stage.value:8} {point.name}{f': {one.why}' if one.why else ''}")


def _tell_places(planned: Plan, stands: dict[str, Standing]) -> None:
    from hpcopt.scaling.plan import core_hours
    from hpcopt.scaling.status import Stage

    places = dict.fromkeys(point.place for point in planned.points)
    rows = []
    for place in places:
        own = [point for point in planned.points if point.place == place]
        done = sum(stands[point.name].stage is Stage.DONE for point in own)
        hours = core_hours(own, planned.study.table.time_limit)
        rows.append((place.words(), str(place.cores), str(len(own)), str(done), f"{hours:.3g}"))
    _tell_table(("where", "cores", "points", "done", "core-hours at most"), rows)
    print(f"solvers: {', '.join(dict.fromkeys(point.series for point in planned.points))}")


def _tell_expected(planned: Plan, stands: dict[str, Standing]) -> None:
    from hpcopt.scaling.plan import expected_hours

    hours, known = expected_hours(planned, stands)
    if known:
        done = "point that is" if known == 1 else "points that are"
        print(f"about {hours:.3g} core-hours are left, by the {known} {done} done")


def _tell_commands(planned: Plan, points: Sequence[Point]) -> None:
    import shlex

    from hpcopt.scaling.commands import arguments
    from hpcopt.scaling.commands import started as starting

    for point in points:
        print(shlex.join(starting(point, arguments(point, planned.study.folder), planned.study.table.launch)))


def _tell_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; the first is text, the others are numbers."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())


def _warn(planned: Plan) -> None:
    for line in planned.warnings:
        print(f"warning: {line}", flush=True)


COMMANDS: tuple[tuple[str, Callable[..., int]], ...] = (
    ("plan", plan),
    ("submit", submit),
    ("status", status),
    ("collect", collect),
    ("report", report),
)
