"""Figures from Python: finished runs, of this process or from their folders, as a figure of matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcopt.errors import InputError
from hpcopt.results.canvas import drawing
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.look import Look, chosen
from hpcopt.results.plots import draw_compare, draw_convergence
from hpcopt.runs.finished import Run
from hpcopt.studies.comparison import Comparison
from hpcopt.studies.overlay import Overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Shown = str | Path | Run | Comparison


def figure(
    runs: Shown | Sequence[Shown],
    *,
    output: str | Path | None = None,
    force: bool = False,
    speed_up: bool = False,
    **choices: Any,
) -> Figure:
    """Return the figure of finished runs, as `hpcopt plot` draws it.

    Parameters
    ----------
    runs
        Folders, runs or comparisons, or one of them.
    output
        A file to which the figure is written; its suffix is the format. The file's letters are TrueType or text; a
        figure that is saved later has them as matplotlib's settings `pdf.fonttype` and `svg.fonttype` say.
    force
        Whether runs of different problems may be in one figure.
    speed_up
        Whether panels over seconds show what n times the nodes would take if they were n times as fast.
    **choices
        `x` and `y`, names of the axes; `size`, (width, height) in inches; `column`, the name of a width; `log` and
        `linear`, axes; `title`, or "none"; `labels`, a dict from a run's folder to its name in the legend, or from its
        label if it has no folder. Several names are a sequence, or a text with commas.

    Raises
    ------
    InputError
        For a folder without runs, for runs of different problems, for a choice that there is not, and for a quantity
        that a run does not have.
    MissingLibraryError
        Without matplotlib.
    """
    look = replace(chosen(**choices), speed_up=speed_up)
    given = [runs] if isinstance(runs, Shown) else list(runs)
    if not given:
        raise InputError("runs: expected at least one")
    path = None if output is None else Path(output)
    places = [place for one in given if (place := _folder(one)) is not None]
    with nullcontext() if path is None else drawing(path):
        if len(places) == len(given):
            return Overlay.of(places, force=force).draw(path, look)
        return _of_this_process([one for one in given if not isinstance(one, str | Path)], path, look)


def _folder(one: Shown) -> Path | None:
    return Path(one) if isinstance(one, str | Path) else one.folder


def _of_this_process(given: Sequence[Run | Comparison], path: Path | None, look: Look) -> Figure:
    """Draw runs that have no folder, whose problems are not known here."""
    first = given[0]
    if len(given) == 1 and isinstance(first, Run) and not (look.x or look.y):
        return draw_convergence(first.records, path, first.label, first.goal, look)
    title = "; ".join(dict.fromkeys(one.title for one in given if isinstance(one, Comparison)))
    curves = [curve for one in given for curve in _curves(one)]
    return draw_compare(_named(curves, look.labels), path, title, Goal.common([one.goal for one in given]), look)


def _curves(one: Run | Comparison) -> list[Curve]:
    return one.curves if isinstance(one, Comparison) else [Curve(one.label, [one.records])]


def _named(curves: Sequence[Curve], labels: Mapping[str, str]) -> list[Curve]:
    there = [curve.label for curve in curves]
    for label in labels:
        if label not in there:
            raise InputError(f"label: {label} is not among the runs that are shown: {', '.join(there)}")
    return [replace(curve, label=labels.get(curve.label, curve.label)) for curve in curves]
