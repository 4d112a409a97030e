"""The jobs of SLURM that make the points of a study."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpcopt.batch import queue
from hpcopt.batch.duration import seconds
from hpcopt.batch.job import Command, Job, output_in
from hpcopt.batch.profile import ClusterProfile
from hpcopt.batch.script import script
from hpcopt.files import written_whole
from hpcopt.scaling import folder as files
from hpcopt.scaling.commands import arguments, warm_up_arguments
from hpcopt.scaling.points import Point
from hpcopt.scaling.study import Study
from hpcopt.scaling.work import write_specification

START_UP = 60.0  # seconds added to a job's time limit, for what is not a run


@dataclass(frozen=True)
class Planned:
    """A job that is to be submitted.

    Parameters
    ----------
    job
        Its resources and commands.
    tasks
        The points of each of its tasks, if it is an array, else of the job.
    """

    job: Job
    tasks: list[list[Point]]


def jobs_for(
    study: Study, points: Sequence[Point], profile: ClusterProfile, *, tasks_per_node: int | None, array: bool
) -> list[Planned]:
    """Return the jobs that make points.

    All points with the same number of threads are made in one allocation, one after another, so that they are compared
    on the same nodes; if its time limit were too long for the cluster, or with `array`, there is an array for each
    number of ranks.

    Parameters
    ----------
    tasks_per_node
        Ranks on a node; default: as many as the cluster profile allows, or all.

    Raises
    ------
    InputError
        For a job beyond the limits of the cluster profile.
    """
    found: list[Planned] = []
    for threads, own in _together(points, lambda point: point.place.threads):
        limit = profile.limits.time
        whole = _one(study, own, _Size.of(profile, tasks_per_node, threads, own))
        if array or (limit is not None and seconds(whole.job.time) > seconds(limit)):
            groups = _together(own, _ranks)
            found += [_array(study, few, _Size.of(profile, tasks_per_node, threads, few)) for _, few in groups]
        else:
            found.append(whole)
    for planned in found:
        profile.check(planned.job)
    return found


def submit(study: Study, planned: Sequence[Planned], profile: ClusterProfile) -> Iterator[str]:
    """Submit jobs, and yield the number of each. What is submitted is noted at once, so that nothing is made twice.

    Raises
    ------
    InputError
        If SLURM is not installed here, or refuses a job.
    """
    known = files.read_jobs(study.folder)
    for one in planned:
        for point in itertools.chain(*one.tasks):
            write_specification(study, point)
            (study.folder / point.name / files.STATE).unlink(missing_ok=True)
        path = study.folder / f"job-{len(known) + 1}.sbatch"
        with written_whole(path) as file:
            file.write(text_of(one, profile))
        number = queue.submit(path)
        names = [[point.name for point in task] for task in one.tasks]
        known = [*known, files.Job(id=number, tasks=names, array=one.job.array)]
        files.write_jobs(study.folder, known)
        yield number


def text_of(planned: Planned, profile: ClusterProfile) -> str:
    """Return the script of a job."""
    if profile.environment is None and profile.container is None:
        profile = replace(profile, environment=sys.prefix)
    count = sum(map(len, planned.tasks))
    return script(planned.job, profile, title=f"{count} points of a scaling study")


def states(jobs: Sequence[files.Job]) -> dict[str, str]:
    """Return SLURM's words for the states of a study's jobs; none where SLURM is not installed."""
    return queue.states(job.id for job in jobs) if jobs and shutil.which("squeue") else {}


@dataclass(frozen=True)
class _Size:
    """The resources of a job."""

    nodes: int
    tasks_per_node: int
    threads: int

    @classmethod
    def of(cls, profile: ClusterProfile, tasks_per_node: int | None, threads: int, points: Sequence[Point]) -> _Size:
        """Return those of the largest of some points."""
        ranks = max(map(_ranks, points))
        here = min(ranks, tasks_per_node or profile.limits.tasks_per_node or ranks)
        return cls(-(-ranks // here), here, threads)


def _one(study: Study, points: Sequence[Point], size: _Size) -> Planned:
    """Return one allocation for all points, with a run of each solver that is discarded before them."""
    firsts = {point.label: point for point in reversed(points)}
    commands = (*(_warm_up(study, first) for first in firsts.values()), *(_made(study, point) for point in points))
    return Planned(_job(study, commands, size, len(commands), array=False), [list(points)])


def _array(study: Study, points: Sequence[Point], size: _Size) -> Planned:
    commands = tuple(_made(study, point) for point in points)
    return Planned(_job(study, commands, size, 1, array=True), [[point] for point in points])


def _job(study: Study, commands: tuple[Command, ...], size: _Size, runs: int, *, array: bool) -> Job:
    minutes = -(-(runs * study.table.time_limit + START_UP) // 60.0)
    return Job(
        name=re.sub(r"[^\w.=-]+", "-", study.name) or "study",
        nodes=size.nodes,
        tasks_per_node=size.tasks_per_node,
        cpus_per_task=size.threads,
        time=f"{int(minutes) // 60}:{int(minutes) % 60:02}:00",
        commands=commands,
        array=array,
        requeue=False,  # it would begin with its first point again; what is missing is submitted instead
        output=output_in(study.folder, array=array),
    )


def _made(study: Study, point: Point) -> Command:
    log = study.folder / point.name / files.LOG
    return _command(point, arguments=arguments(point, study.folder), output=str(log))


def _warm_up(study: Study, point: Point) -> Command:
    given, place = warm_up_arguments(point, study.folder), study.folder / files.WARM_UP
    return _command(point, arguments=given, output=os.devnull, discarded=str(place))


def _command(point: Point, **what: Any) -> Command:
    return Command(ranks=_ranks(point), threads=point.place.threads, **what)


def _ranks(point: Point) -> int:
    return 1 if point.place.is_virtual else point.place.ranks


def _together(points: Sequence[Point], key: Callable[[Point], int]) -> list[tuple[int, list[Point]]]:
    """Return the points by a number of theirs, in order."""
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault(key(point), []).append(point)
    return list(groups.items())
