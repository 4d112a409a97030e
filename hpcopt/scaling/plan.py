"""What a study will run and what that costs, with warnings about what its results would not show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.results.medians import median
from hpcopt.scaling.folder import read_state
from hpcopt.scaling.points import Point, points_of
from hpcopt.scaling.status import Stage, Standing, finished
from hpcopt.scaling.study import Study
from hpcopt.scaling.table import ScalingTable
from hpcopt.topology import Topology
from hpcopt.topology.build import build

FEWEST_REPEATS = 3
SMALL_GRAPH = 256  # nodes; with more, a topology that is not possible is found by its run


@dataclass(frozen=True)
class Plan:
    """The points of a study.

    Parameters
    ----------
    study
        The study.
    points
        The points that can run, in order.
    impossible
        Those that can't, each with the reason.
    warnings
        What the reader of the results should know before anything runs.
    """

    study: Study
    points: list[Point]
    impossible: list[tuple[Point, str]]
    warnings: list[str]

    @property
    def core_hours(self) -> float:
        """At most, if every run takes as long as it may."""
        return core_hours(self.points, self.study.table.time_limit)


def core_hours(points: Sequence[Point], time_limit: float) -> float:
    """Return the core-hours of points that each take as long as they may, in seconds."""
    return sum(point.place.cores for point in points) * time_limit / 3600.0


def expected_hours(planned: Plan, stands: Mapping[str, Standing]) -> tuple[float, int]:
    """Return the core-hours that the missing points will take, and the number of done ones that this is told from.

    A point takes as long as the done ones of its solver with the nearest number of ranks.
    """
    folder = planned.study.folder
    done = [(point, _taken(point, folder)) for point in planned.points if stands[point.name].stage is Stage.DONE]
    hours = 0.0
    for point in planned.points:
        if stands[point.name].stage is Stage.DONE:
            continue
        own = [(_apart(point, other), seconds) for other, seconds in done if _is_like(point, other)]
        if own:
            nearest = min(distance for distance, _ in own)
            hours += point.place.cores * median([s for distance, s in own if distance == nearest]) / 3600.0
    return hours, len(done)


def _taken(point: Point, folder: Path) -> float:
    """Return how long a done point took: by its worker, who has seen it start; of a job of SLURM, by its phases."""
    state, run = read_state(folder / point.name), finished(point, folder)
    return state.seconds if state is not None else 0.0 if run is None else run.elapsed


def _is_like(point: Point, other: Point) -> bool:
    return (point.series, point.budget, point.place.cluster) == (other.series, other.budget, other.place.cluster)


def _apart(point: Point, other: Point) -> float:
    return abs(math.log(point.place.ranks / other.place.ranks))


def plan(study: Study, cores: int | None) -> Plan:
    """Return the plan of a study.

    Parameters
    ----------
    cores
        The cores on which a point can run, as far as is known.
    """
    points = points_of(study)
    reasons = [_impossible(point) for point in points]
    possible = [point for point, reason in zip(points, reasons, strict=True) if not reason]
    impossible = [(point, reason) for point, reason in zip(points, reasons, strict=True) if reason]
    return Plan(study, possible, impossible, list(_warnings(study, possible, cores)))


def _impossible(point: Point) -> str:
    """Return why the point's topology can't have so many nodes; empty if it can, or is too large to be tried."""
    topology = point.spec.topology
    return (
        ""
        if topology is None or point.place.ranks > SMALL_GRAPH
        else _why_not(topology, point.place.ranks, point.spec.seed)
    )


@cache
def _why_not(topology: Topology, nodes: int, seed: int) -> str:
    try:
        build(topology, nodes, seed)
    except InputError as error:
        return str(error)
    return ""


def _warnings(study: Study, points: Sequence[Point], cores: int | None) -> Iterator[str]:
    crowded = sorted({point.place.cores for point in points if cores is not None and point.place.cores > cores})
    if crowded:
        counts = ", ".join(map(str, crowded))
        yield f"more ranks than cores: points of {counts} cores share {cores}; their times do not measure scaling"
    yield from _about_numbers(study.table)
    yield from (f"{path} is not here" for path in study.specification.files if not path.exists())
    stop = study.specification.stop
    if not study.aims:
        yield "no goal in [stop], such as target: time, rounds and bytes to a target will not be known"
    elif study.table.kind != "strong" and isinstance(stop.target, float):
        wanted = "give target = { relative = 1e-3 } with problem.optimum"
        yield f"the target is an objective, and the rows differ from point to point; {wanted}"
    own = sorted({point.label for point in points if point.solver.needs.pace == "own"})
    if own:
        yield f"asynchronous: no two runs are the same, so that objectives are not compared: {', '.join(own)}"


def _about_numbers(table: ScalingTable) -> Iterator[str]:
    """Yield the warnings about numbers of ranks and of repeats."""
    if table.kind != "throughput":
        counts = sorted(table.rank_counts)
        if 1 not in counts:
            yield f"no point on one rank: speed-up and efficiency are relative to {counts[0]} ranks"
        if len({*counts, *table.virtual_counts}) == 1:
            yield f"all points have {counts[0]} rank{'s' * (counts[0] != 1)}: there is nothing to scale"
    if max(table.thread_counts) > 1 and max(table.rank_counts) > 1:
        yield "threads: several ranks compute with one thread each, whatever they are given; one rank uses them in BLAS"
    times = table.times_on("virtual" if table.on == "virtual" else "mpi")
    if table.on == "virtual" and times > 1:
        yield "virtual time is computed: repeats have the same result to the bit; one is enough"
    elif table.on != "virtual" and times < FEWEST_REPEATS:
        few = f"{times} repeat{'s' * (times != 1)} of each point"
        yield f"{few}: {FEWEST_REPEATS} or more show how far times spread"
