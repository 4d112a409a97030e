"""Finished runs, read from their folders, to be shown together."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcopt.errors import InputError, Remedy
from hpcopt.results import folder as folders
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.look import Look
from hpcopt.results.medians import median_row
from hpcopt.results.plots import draw_compare, draw_convergence
from hpcopt.results.record import Record
from hpcopt.results.tables import compare_rows
from hpcopt.studies.comparable import MEASURED, Value, circumstances, differences
from hpcopt.studies.places import index_of, runs_in
from hpcopt.studies.plan import contenders_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 3  # most problems or runs named in a title or a message


@dataclass(frozen=True)
class ReadRun:
    """A run as read from its folder.

    Parameters
    ----------
    curve
        Of runs that differ in their seeds only: their comparison and their label.
    """

    path: Path
    described: dict[str, Any]
    records: list[Record]
    curve: tuple[Path, str] | None = None

    @property
    def label(self) -> str:
        """Its label."""
        return str(self.described["label"])

    @property
    def result(self) -> dict[str, Any]:
        """How it ended; of an unfinished run, how far it has come."""
        last = self.records[-1]
        return dict(self.described["result"] or {**last.as_dict(), "status": "unfinished", "rounds": last.round})


@dataclass(frozen=True)
class Overlay:
    """Runs that can be shown together.

    Attributes
    ----------
    paths
        The folders that were given: of runs, or of comparisons.
    runs
        Those with records.
    missing
        The names of a comparison's runs that have recorded nothing yet.
    unlike
        The differences between their problems, which the user has insisted on: key -> value of each run.
    """

    paths: Sequence[Path]
    runs: list[ReadRun]
    missing: list[str]
    unlike: dict[str, list[Value]]

    @classmethod
    def of(cls, paths: Sequence[Path], *, force: bool = False) -> Overlay:
        """Read the runs in these folders.

        Raises
        ------
        InputError
            If a folder contains no run, or only one without records; if runs are of different problems, without
            `force`.
        """
        runs, missing = _read(paths)
        unlike = differences([(one.described, one.records) for one in runs])
        if unlike and not force:
            raise InputError(_refusal(runs, unlike), Remedy.TOGETHER)
        return cls(paths, runs, missing, unlike)

    @property
    def is_single(self) -> bool:
        """Whether it is one run, not a comparison with one."""
        return [run.path for run in self.runs] == list(self.paths) and len(self.paths) == 1

    @cached_property
    def goal(self) -> Goal:
        """The common measure of all runs: a target or an optimum if the runs that have one agree on it."""
        goal = Goal.common([Goal.of(run.described) for run in self.runs])
        return replace(goal, optimum=None) if self.unlike else goal  # each problem has its own

    def draw(self, picture: Path | None, look: Look) -> Figure:
        """Draw the picture: one run with all it measures, or several; the axes of either may be chosen.

        Raises
        ------
        InputError
            If a run doesn't have the quantity of a chosen axis; for a label of a folder that isn't shown.
        """
        curves = self.curves(look.labels)
        if self.is_single and not (look.x or look.y or look.speed_up):
            (run,) = self.runs
            name = curves[0].label if look.labels else run.label
            title = f"{name}: {self._title()}{'' if run.described.get('result') else ' (unfinished)'}"
            return draw_convergence(run.records, picture, title, self.goal, look)
        return draw_compare(curves, picture, self._title(), self.goal, look)

    def rows(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return a row as in compare.csv for each curve, under its name."""
        names = [curve.label for curve in self.curves(labels)]
        tables = [compare_rows(runs, self.goal) for runs in self.together]
        return [median_row(rows, name) for rows, name in zip(tables, names, strict=True)]

    def curves(self, labels: Mapping[str, str]) -> list[Curve]:
        """Return a curve for each run, named by `labels`, folder -> name, or by what tells it from the others.

        Runs that differ in their seeds only are one curve.
        """
        names, given = self._names(), {self._shown(folder): name for folder, name in labels.items()}
        solvers = [run.curve[1] if run.curve else run.label for run, *_ in self.together]
        if len(set(solvers)) == len(solvers):
            solvers = [run.described.get("solver", "") for run, *_ in self.together]
        return [
            Curve(given.get(place, name), [run.records for run in runs], solver, runs[0].described.get("nodes", 1))
            for place, (name, solver, runs) in enumerate(zip(names, solvers, self.together, strict=True))
        ]

    @cached_property
    def together(self) -> list[list[ReadRun]]:
        """The runs of each curve."""
        curves: dict[object, list[ReadRun]] = {}
        for place, run in enumerate(self.runs):
            curves.setdefault(run.curve or place, []).append(run)
        return list(curves.values())

    def _shown(self, folder: str) -> int:
        """Return the place of the curve of a folder, given by its path or, in a comparison, by its name there."""
        meant = {path.resolve() for path in (Path(folder), *(place / folder for place in self.paths))}
        for place, runs in enumerate(self.together):
            inside = next((place for place in self.paths if place in runs[0].path.parents), None)
            outer = [path for run in runs for path in run.path.parents if inside in path.parents]
            if any(path.resolve() in meant for path in (*outer, *(run.path for run in runs))):
                return place
        there = ", ".join(str(runs[0].path) for runs in self.together)
        raise InputError(f"label: {folder} is not among the runs that are shown: {there}")

    def _names(self) -> list[str]:
        """Return the curves' names: the run's label, how it differs, and its folder where names would be equal."""
        runs = [next((run for run in runs if not run.described.get("result")), runs[0]) for runs in self.together]
        told = [key for key in self.unlike if not key.startswith(MEASURED)] or list(self.unlike)
        names, places = [], [run.curve or (run.path, run.label) for run in runs]
        for run, more, (_, label) in zip(runs, circumstances([run.described for run in runs]), places, strict=True):
            values = {key: values[self.runs.index(run)] for key, values in self.unlike.items() if key in told}
            marks = [f"{key} = {value}" for key, value in values.items() if value is not None] + [more] * bool(more)
            names.append(f"{label} [{', '.join(marks)}]" if marks else label)
        often = Counter(names)
        return [f"{name} ({path})" if often[name] > 1 else name for name, (path, _) in zip(names, places, strict=True)]

    @property
    def problems(self) -> str:
        """Their problems in words, of many the first."""
        problems = list(dict.fromkeys(run.described["problem"] for run in self.runs))
        more = f" and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        return "; ".join(problems[:_MOST_NAMED]) + more

    def _title(self) -> str:
        return self.problems + (f"\n(not there: {_few(self.missing)})" if self.missing else "")


def _read(paths: Sequence[Path]) -> tuple[list[ReadRun], list[str]]:
    """Return the runs with records, and the folder names of a comparison's runs without records."""
    read: list[ReadRun] = []
    missing: list[str] = []
    for place in paths:
        inner = runs_in(place)
        several = inner != [place]
        there = [path for path in inner if not several or folders.has_begun(path)]
        everything = [ReadRun(path, *folders.read(path)) for path in there]
        begun = [one for one in everything if one.records]
        damaged = [one.path for one in everything if _told_as_damaged(one)]
        left = [path for path in inner if path not in [one.path for one in begun]]
        if not begun:
            raise InputError(f"{place}: {'its runs have' if several else 'the run has'} recorded nothing yet")
        yet = [str(path.relative_to(place)) for path in left if path not in damaged]
        if yet:
            print(f"hpcopt: {place}: nothing recorded yet by {_few(yet)}", file=sys.stderr, flush=True)
        read += _compared(place, begun) if several else begun
        missing += [str(path.relative_to(place)) for path in left]
    return read, missing


def _told_as_damaged(one: ReadRun) -> bool:
    """Print a line if the run has finished and its last records are missing; return whether that is so."""
    if not one.described.get("result") or folders.has_whole_trace(one.described, one.records):
        return False
    last = f"its last record is of round {one.records[-1].round}" if one.records else "it has no records"
    ended = one.described["result"]["rounds"]
    line = f"{one.path / folders.TRACE}: damaged: {last}, but the run ended at round {ended}"
    print(f"hpcopt: {line}", file=sys.stderr, flush=True)
    return True


def _compared(place: Path, begun: list[ReadRun]) -> list[ReadRun]:
    """Return the runs of a comparison that its picture shows: of a grid those of the best cell that has finished.

    If none has, those of the first cell that has begun.
    """
    index = index_of(place)
    assert index is not None, "a comparison"
    paths = [place / run.folder for run in index.runs]
    there = {paths.index(one.path): one for one in begun}
    goal = Goal.of(begun[0].described)
    finished = {at: one for at, one in there.items() if one.described.get("result")}
    begun_cells = {c.label: c.cells[0] for c in contenders_of(index.runs, there, goal, index.best)}
    best = {c.label: c.best for c in contenders_of(index.runs, finished, goal, index.best)}
    labels = {solver: cell.label for solver, cell in {**begun_cells, **best}.items()}
    shown = {at: one for at, one in there.items() if index.runs[at].label == labels[index.runs[at].solver]}
    seeds = Counter(run.label for run in index.runs)
    return [
        replace(one, curve=(place, index.runs[at].label)) if seeds[index.runs[at].label] > 1 else one
        for at, one in shown.items()
    ]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _refusal(read: list[ReadRun], unlike: dict[str, list[Value]]) -> str:
    """Return a line that names the first difference and the two runs."""
    key, values = next(iter(unlike.items()))
    other = next(place for place, value in enumerate(values) if value != values[0])
    told = ["not given" if value is None else str(value) for value in (values[0], values[other])]
    more = f" (also {', '.join(list(unlike)[1:])})" if len(unlike) > 1 else ""
    return f"{read[0].path} and {read[other].path} are of different problems: {key} is {told[0]} and {told[1]}{more}"
