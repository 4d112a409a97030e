"""Pictures of finished runs."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError, Remedy
from hpcopt.outputs import check_apart, check_file
from hpcopt.results import folder as folders
from hpcopt.results.canvas import drawing
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.plots import draw_compare, draw_convergence
from hpcopt.results.record import Record
from hpcopt.results.timeline import draw_timeline, write_events
from hpcopt.runs.topology import draw_edges
from hpcopt.studies.comparable import Value, circumstances, differences
from hpcopt.studies.plan import contenders_of

_MOST_NAMED = 3  # most problems or runs named in a title or a message


@dataclass(frozen=True)
class _Read:
    """A run as read from its folder."""

    path: Path
    described: dict[str, Any]
    records: list[Record]
    curve: tuple[Path, str] | None = None  # of runs that differ in their seeds only: their comparison and their label

    @property
    def label(self) -> str:
        """Its label."""
        return str(self.described["label"])

    @property
    def result(self) -> dict[str, Any]:
        """How it ended; only of a finished run."""
        return dict(self.described["result"])


def check_pictures(paths: list[Path], output: Path | None = None, *, timeline: bool = False) -> None:
    """Raise an error for pictures that cannot be written or would overwrite their inputs; no run is read yet.

    Raises
    ------
    InputError
        With the file; also if a folder contains no run.
    """
    if output is not None:
        check_file(output)
    runs = [run for place in paths for run in _runs(place)]
    if output is not None:
        pictures = [
            output,
            output.with_suffix(".trace.json") if timeline else output.with_name(_beside(output, output)),
        ]
    elif timeline:
        pictures = [run / name for run in runs for name in (folders.TIMELINE_PICTURE, folders.TIMELINE_EVENTS)]
    else:
        pictures = [paths[0] / name for name in (folders.PICTURE, folders.TOPOLOGY, folders.COMPARISON)]
    for picture in pictures:
        check_file(picture)
    check_apart(pictures, [place / name for place in [*paths, *runs] for name in folders.NOT_DRAWN])


def replot(paths: list[Path], output: Path | None = None, *, force: bool = False) -> list[Path]:
    """Draw one run, several runs, or a comparison's runs in one picture; for one gossip run also its topology.

    For an interrupted comparison, the runs that have begun are drawn; missing and unfinished runs are named on the
    error stream and in the picture.

    Parameters
    ----------
    output
        The picture; default: in the (first) folder.
    force
        Whether runs of different problems may be drawn in one picture; the legend then shows the differences.

    Returns
    -------
    list of Path
        The pictures.

    Raises
    ------
    InputError
        If a folder contains no run, or only one without records; if runs are of different problems.
    """
    read, missing = _read(paths)
    if len(read) == 1 and not missing and read[0].path == paths[0]:
        return _one(read[0], output)
    unlike = differences([(one.described, one.records) for one in read])
    if unlike and not force:
        raise InputError(_refusal(read, unlike), Remedy.DRAW)
    picture = output or paths[0] / folders.COMPARISON
    with drawing(picture):
        names = _names(read, len(paths), unlike)
        together: dict[object, list[int]] = {}
        for at, one in enumerate(read):
            together.setdefault(one.curve or at, []).append(at)
        curves = [Curve(names[own[0]], [read[at].records for at in own]) for own in together.values()]
        goal = Goal.common([Goal.of(one.described) for one in read])
        goal = replace(goal, optimum=None) if unlike else goal  # each problem has its own
        draw_compare(curves, picture, _title(read, missing), goal)
    return [picture]


def _read(paths: list[Path]) -> tuple[list[_Read], list[str]]:
    """Return the runs with records, and the folder names of a comparison's runs without records."""
    read: list[_Read] = []
    missing: list[str] = []
    for place in paths:
        inner = _runs(place)
        several = inner != [place]
        there = [path for path in inner if not several or folders.has_begun(path)]
        begun = [one for one in (_Read(path, *folders.read(path)) for path in there) if one.records]
        left = [str(path.relative_to(place)) for path in inner if path not in [one.path for one in begun]]
        if not begun:
            raise InputError(f"{place}: {'its runs have' if several else 'the run has'} recorded nothing yet")
        if left:
            print(f"hpcopt: {place}: nothing recorded yet by {_few(left)}", file=sys.stderr, flush=True)
        read += _compared(place, begun) if several else begun
        missing += left
    return read, missing


def _compared(place: Path, begun: list[_Read]) -> list[_Read]:
    """Return the runs of a comparison that its picture shows: of a grid those of the best cell that has finished.

    If none has, those of the first cell that has begun.
    """
    index = folders.index(place)
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


def _refusal(read: list[_Read], unlike: dict[str, list[Value]]) -> str:
    """Return a line that names the first difference and the two runs."""
    key, values = next(iter(unlike.items()))
    other = next(place for place, value in enumerate(values) if value != values[0])
    told = ["not given" if value is None else str(value) for value in (values[0], values[other])]
    more = f" (also {', '.join(list(unlike)[1:])})" if len(unlike) > 1 else ""
    return f"{read[0].path} and {read[other].path} are of different problems: {key} is {told[0]} and {told[1]}{more}"


def _names(read: list[_Read], places: int, unlike: dict[str, list[Value]]) -> list[str]:
    """Return the curves' names: the run's label, its folder if several were given, and its differences."""
    names = []
    for place, (one, more) in enumerate(zip(read, circumstances([one.described for one in read]), strict=True)):
        path, name = one.curve or (one.path, one.label)
        label = name if places == 1 else f"{name} ({path})"
        own = [(key, values[place]) for key, values in unlike.items()]
        marks = [f"{key} = {value}" for key, value in own if value is not None] + ([more] if more else [])
        names.append(f"{label} [{', '.join(marks)}]" if marks else label)
    return names


def _title(read: list[_Read], missing: list[str]) -> str:
    problems = list(dict.fromkeys(one.described["problem"] for one in read))
    more = f" and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
    left = f"\n(not there: {_few(missing)})" if missing else ""
    return "; ".join(problems[:_MOST_NAMED]) + more + left


def replot_timelines(paths: list[Path], output: Path | None = None) -> list[Path]:
    """Draw the timeline of each run, or of each run of a comparison, and write its events next to the picture.

    Parameters
    ----------
    output
        The picture of a single run; default timeline.png in each run's folder.

    Returns
    -------
    list of Path
        The pictures and the events.

    Raises
    ------
    InputError
        If a folder contains no run, or one without a timeline; if one file is given for several runs.
    """
    folders_of_runs = [path for place in paths for path in _runs(place)]
    if output is not None and len(folders_of_runs) > 1:
        raise InputError(
            f"{output}: one picture cannot show the timelines of {len(folders_of_runs)} runs; "
            f"give no file, and each run's folder gets its own"
        )
    return [written for folder in folders_of_runs for written in _timeline(folder, output)]


def _timeline(folder: Path, output: Path | None) -> tuple[Path, Path]:
    described, _ = folders.read(folder)
    spans, nodes = folders.read_timeline(folder), described.get("nodes", 1)
    if spans is None:
        raise InputError(f"{folder}: no timeline here; a run keeps one with output.timeline = true")
    if spans[:, 0].max(initial=0.0) >= nodes:
        raise InputError(f"{folder / folders.TIMELINE}: damaged (it has more nodes than the run's {nodes})")
    title = f"{described['label']}: {described['problem']}"
    picture = output or folder / folders.TIMELINE_PICTURE
    events = folder / folders.TIMELINE_EVENTS if output is None else output.with_suffix(".trace.json")
    write_events(spans, nodes, events, title)
    with drawing(picture):
        hubs = described.get("hub_ranks", ())
        draw_timeline(spans, nodes, picture, title, described.get("clock", "unknown"), hubs)
    return picture, events


def _one(run: _Read, output: Path | None) -> list[Path]:
    folder, described = run.path, run.described
    picture = output or folder / folders.PICTURE
    title = f"{described['label']}: {described['problem']}{'' if described.get('result') else ' (unfinished)'}"
    with drawing(picture):
        draw_convergence(run.records, picture, title, Goal.of(described))
    if not (folder / folders.EDGES).exists():
        return [picture]
    diagram = picture.with_name(_beside(picture, output))
    with drawing(diagram):
        draw_edges(described, folder, diagram)
    return [picture, diagram]


def _beside(picture: Path, output: Path | None) -> str:
    """Return the name of the topology's picture, given that of the curves."""
    return folders.TOPOLOGY if output is None else f"{picture.stem}-topology{picture.suffix}"


def _runs(path: Path) -> list[Path]:
    """Return the run's folder, or the folders of a comparison's runs in order."""
    if (path / folders.RUN).exists():
        return [path]
    inner = [path / name for name in folders.listed(path)]
    if not inner:
        raise InputError(f"{path}: no run here (there is neither {folders.RUN} nor {folders.INDEX} in it)")
    return inner
