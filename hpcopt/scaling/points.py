"""The points of a study: every run that it consists of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from hpcopt.errors import InputError
from hpcopt.results.stopping import StopRule
from hpcopt.scaling.study import Study
from hpcopt.scaling.table import TABLE, ScalingTable
from hpcopt.solvers import Solver
from hpcopt.spec.grid import Variant
from hpcopt.spec.specification import Specification
from hpcopt.studies.plan import folder_names

MOST = 10_000
POINTS = "points"  # the folder of the points in that of the study

Cluster = Literal["mpi", "virtual"]
Budget = Literal["iterations", "target"]


@dataclass(frozen=True)
class Place:
    """Where a point runs, and on how many rows.

    Parameters
    ----------
    cluster
        The ranks of a job, or virtual nodes.
    ranks, threads
        The number of ranks, or of virtual nodes, and of threads of each.
    rows
        The number of rows; None: those of the data.
    """

    cluster: Cluster
    ranks: int
    threads: int = 1
    rows: int | None = None

    @property
    def is_virtual(self) -> bool:
        """Whether its nodes are virtual."""
        return self.cluster == "virtual"

    @property
    def cores(self) -> int:
        """The cores that it is to have."""
        return 1 if self.is_virtual else self.ranks * self.threads

    def words(self) -> str:
        """Return it in words."""
        nodes = f"{self.ranks} {'virtual node' if self.is_virtual else 'rank'}{'s' * (self.ranks != 1)}"
        threads = f" of {self.threads} threads" if self.threads > 1 else ""
        rows = f", {self.rows:,} rows" if self.rows is not None else ""
        return f"{nodes}{threads}{rows}"


@dataclass(frozen=True)
class Point:
    """A run of a study.

    Parameters
    ----------
    group
        The folder of the points of its solver and topology, relative to that of the study.
    topology
        The label of its topology; empty if there is only one, or none is used.
    place
        Where it runs.
    budget
        "iterations": so many as the study says; "target": until the goal of the stop rules.
    repeat
        The number of the repetition, from 1.
    spec
        Its specification, with its solver and its seed.
    """

    group: str
    topology: str
    place: Place
    budget: Budget
    repeat: int
    spec: Specification

    @property
    def name(self) -> str:
        """Its folder, relative to that of the study; the same in every study that has this point."""
        place = self.place
        kind = f"virtual={place.ranks}" if place.is_virtual else f"ranks={place.ranks}-threads={place.threads}"
        rows = "" if place.rows is None else f"-rows={place.rows}"
        return f"{self.group}/{kind}{rows}-seed={self.spec.seed}-{self.budget}-{self.repeat}"

    @property
    def label(self) -> str:
        """The label of its solver, with its values of a grid."""
        return self.spec.variants[0].label

    @property
    def solver(self) -> Solver[Any]:
        """Its solver."""
        return self.spec.built[0]

    @property
    def series(self) -> str:
        """What it has in common with the points in other places, in words."""
        return f"{self.label}{f', {self.topology}' if self.topology else ''}"

    def words(self) -> str:
        """Return what identifies it among the points of its study."""
        return f"{self.series}, {self.place.words()}, seed {self.spec.seed}, {self.budget}, run {self.repeat}"


def points_of(study: Study) -> list[Point]:
    """Return the points in the order in which they are run.

    All are run once, from few ranks to many, before any is repeated: a machine that gets slower meanwhile makes none of
    them look worse than the others.

    Raises
    ------
    InputError
        For too many of them, or one whose specification contradicts its number of nodes.
    """
    table, first = study.table, study.specification
    labels = [variant.label for variant in first.variants]
    outer = dict(zip(labels, folder_names(labels), strict=True))
    inner = dict(zip(study.specifications, folder_names(list(study.specifications)), strict=True))
    points: list[Point] = []
    for place, (variant, topology) in itertools.product(_places(table), list(_contenders(study))):
        group = f"{POINTS}/{outer[variant.label]}{f'/{inner[topology]}' if topology else ''}"
        seeds = range(first.seed, first.seed + (first.seeds or 1))
        for seed, budget in itertools.product(seeds, list(_budgets(study))):
            spec = _specification(study, variant, topology, place, seed, budget)
            for repeat in range(1, table.times_on(place.cluster) + 1):
                point = Point(group, topology, place, budget, repeat, spec)
                points.append(replace(point, spec=_into(spec, f"{study.folder}/{point.name}")))
        if len(points) > MOST:
            raise InputError(f"{study.file}: [{TABLE}]: more than {MOST:,} points; expected at most so many")
    return sorted(points, key=lambda point: point.repeat)


def _places(table: ScalingTable) -> Iterator[Place]:
    main: Cluster = "virtual" if table.on == "virtual" else "mpi"
    for ranks, threads in itertools.product(sorted(table.rank_counts), table.thread_counts):
        yield from (Place(main, ranks, threads, rows) for rows in table.row_counts(ranks))
    for nodes in sorted(table.virtual_counts):
        yield from (Place("virtual", nodes, 1, rows) for rows in table.row_counts(nodes))


def _contenders(study: Study) -> Iterator[tuple[Variant, str]]:
    """Yield every solver with each topology that it uses; solvers without neighbours are not run once for each."""
    for place in range(len(study.specification.variants)):
        for number, (topology, spec) in enumerate(study.specifications.items()):
            variant = spec.variants[place]
            if variant.solver.needs.topology == "graph":
                yield variant, topology
            elif number == 0:
                yield variant, ""


def _budgets(study: Study) -> Iterator[Budget]:
    if study.table.iterations is not None:
        yield "iterations"
    if study.aims:
        yield "target"


def _specification(
    study: Study, variant: Variant, topology: str, place: Place, seed: int, budget: Budget
) -> Specification:
    """Return the specification of a point, without its folder."""
    own = Variant(variant.table, variant.solver, variant.label)  # a run by itself, no longer one of a grid
    alone = study.specifications.get(topology, study.specification).repeated(seed).alone(own, None)
    stop, output = alone.stop, alone.output
    if budget == "iterations":  # nothing is measured between the first iteration and the last
        stop, output = StopRule(iterations=study.table.iterations), replace(output, record_every=0)
    graph = alone.topology if variant.solver.needs.topology == "graph" else None
    asked = alone.cluster.topology if graph is not None else None
    workers = place.ranks if place.is_virtual else None  # ranks are as many as the launcher starts
    try:
        cluster = replace(alone.cluster, kind=place.cluster, workers=workers, topology=asked)
        if not place.is_virtual:  # ranks take the time that they take: their points are done with any calibration
            cluster = replace(cluster, calibration=None)
        data = alone.data if place.rows is None else replace(alone.data, rows=place.rows)
    except InputError as error:
        raise InputError(f"{study.file}: with {place.words()}: {error.message}") from None
    return replace(alone, data=data, cluster=cluster, topology=graph, stop=stop, output=output)


def _into(spec: Specification, folder: str) -> Specification:
    return replace(spec, output=replace(spec.output, folder=folder))
