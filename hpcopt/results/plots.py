"""Pictures of finished runs: one run's convergence, and several runs over rounds, bytes and seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcopt.results.axes import dress_across, dress_upwards, leave_out_the_start
from hpcopt.results.canvas import COLOURS, GREY, entitle, explain, new_picture
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.heights import OTHERS, Height, judged_height, other_height
from hpcopt.results.measures import Measure, all_measures, parts, used_measures
from hpcopt.results.points import Points, points_of
from hpcopt.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MARKERS = "osD^vPX*"
_LINES = ("-", "--", ":", "-.")
_MARKERS_A_CURVE = 12
_BAND = 0.2  # opacity
_RING: dict[str, Any] = {
    "marker": "o",
    "linestyle": "none",
    "markersize": 13,
    "markerfacecolor": "none",
    "markeredgewidth": 1.5,
}


def draw_compare(curves: Sequence[Curve], path: str | Path, title: str, goal: Goal | None = None) -> None:
    """Draw the objective of several runs over rounds, bytes and seconds, side by side, into the picture `path`.

    If the bytes that went up are known of all runs, and aren't half of all bytes in each, they have a panel, too. If
    all runs count weights other than zero, a second row of panels shows their number.

    Parameters
    ----------
    curves
        The label and the records of each run, or of its repetitions.
    goal
        The measure by which they are judged. A target is drawn as a line, with a ring where a run first reaches it.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    goal = goal or Goal()
    lasts = [last for curve in curves for last in curve.lasts]
    height, measures = judged_height(curves, goal), used_measures(lasts, up=True)
    heights = [height, *([other_height("nonzeros")] if all(last.nonzeros is not None for last in lasts) else [])]
    names = [f"{curve.label} (off the scale)" if height.is_left_by(curve) else curve.label for curve in curves]
    with new_picture(Path(path), 13.0, 4.2 if len(heights) == 1 else 7.6) as figure:
        panels = figure.subplots(len(heights), len(measures), sharey="row", squeeze=False)
        for place, measure in enumerate(measures):
            ways = [(curve, measure) for curve in curves]
            lines, more = _panel(panels[0, place], ways, height, goal)
            for axis, other in zip(panels[1:, place], heights[1:], strict=True):
                _panel(axis, ways, other, Goal())
            for axis in panels[:, place]:
                dress_across(axis, measure, curves)
        dress_upwards(panels[0, 0], height, curves, goal)
        for axis, other in zip(panels[1:, 0], heights[1:], strict=True):
            dress_upwards(axis, other, curves, Goal())
        explain(figure, [*lines, *more.values()], [*names, *more])
        entitle(figure, title, 13.0)


def draw_convergence(records: Sequence[Record], path: str | Path, title: str, goal: Goal | None = None) -> None:
    """Draw one run into the picture `path`.

    Upper panels: the objective over rounds (time slots, if workers make their steps in slots), bytes (in a hub network
    those of each level, otherwise those up and those down where they differ) and seconds. Lower panels, over rounds or
    slots: the gradient norm, the nodes' distance to their mean if they have their own models, and the test measure if
    there is one.

    Parameters
    ----------
    records
        The records of the run.
    goal
        The measure by which it is judged.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    goal, curve = goal or Goal(), Curve("", [records])
    measures, height = used_measures(curve.lasts), judged_height([curve], goal)
    mean = "" if records and records[0].consensus is None else ", mean model"
    others = [other_height(column, "" if column == "consensus" else mean) for column in OTHERS]
    below = [(other, values) for other in others if len(values := _values(records, other)) > 1]
    rows, columns = (2 if below else 1), max(len(measures), len(below))
    with new_picture(Path(path), 13.0, 3.8 * rows) as figure:
        panels = figure.subplots(rows, columns, squeeze=False)
        for axis, measure in zip(panels[0], measures, strict=False):
            ways = [part for last in curve.lasts for part in parts(measure, last)] or [measure]
            lines, more = _panel(axis, [(curve, way) for way in ways], height, goal)
            if len(ways) > 1:
                axis.legend(lines, [way.name for way in ways], frameon=False)
            dress_upwards(axis, height, [curve], goal)
            dress_across(axis, measure, [curve])
        for axis, (other, values) in zip(panels[-1] if below else (), below, strict=False):
            _panel(axis, [(curve, measures[0])], other, Goal(), first=1)
            dress_upwards(axis, other, [curve], Goal())
            leave_out_the_start(axis, other, values)
            dress_across(axis, measures[0], [curve])
        for axis in (*panels[0, len(measures) :], *(panels[1, len(below) :] if below else ())):
            axis.remove()
        explain(figure, list(more.values()), list(more))
        entitle(figure, f"{title}\n{_totals(curve)}")


def _values(records: Sequence[Record], height: Height) -> list[float]:
    return [value for record in records if not math.isnan(value := height.of(record))]


def _totals(curve: Curve) -> str:
    return ", ".join(measure.told(last) for last in curve.lasts for measure in all_measures([last])) or "no records"


def _panel(
    axis: Axes, curves: Sequence[tuple[Curve, Measure]], height: Height, goal: Goal, first: int = 0
) -> tuple[list[Line2D], dict[str, Line2D]]:
    """Draw curves and the target; return the lines and the other legend entries.

    The curve at place 0 has the style number `first`.
    """
    drawn = [
        (points_of(curve, measure, height), _look(place, curve)) for place, (curve, measure) in enumerate(curves, first)
    ]
    lines = [axis.plot(points.xs, points.ys, **look)[0] for points, look in drawn]
    for points, look in drawn:
        if points.band is not None:
            axis.fill_between(points.xs, *points.band, color=look["color"], alpha=_BAND, linewidth=0.0)
    return lines, _mark_target(axis, drawn, height, goal)


def _mark_target(
    axis: Axes, drawn: Sequence[tuple[Points, dict[str, Any]]], height: Height, goal: Goal
) -> dict[str, Line2D]:
    """Draw the target as a line, and a ring where a curve first reaches it; return their legend entries."""
    if goal.target is None:
        return {}
    text, line = f"target {goal.target:.8g}", height.above(goal.target)
    if math.isnan(line) or (height.optimum is not None and goal.target <= height.optimum):
        return {f"{text} (below the axis)": axis.plot([], [], linestyle="none")[0]}
    marked = {text: axis.axhline(line, color=GREY, linestyle=(0, (6, 4)), linewidth=1.1, zorder=1)}
    reached = [(at, look["color"]) for points, look in drawn if (at := points.first_at(line)) is not None]
    for (x, y), colour in reached:
        axis.plot(x, y, markeredgecolor=colour, **_RING)
    if reached:
        marked["first at the target"] = axis.plot([], [], markeredgecolor=GREY, **{**_RING, "markersize": 9})[0]
    return marked


def _look(place: int, curve: Curve) -> dict[str, Any]:
    """Return the style of a curve; without a line if there are few records with iterations between them."""
    longest = max(map(len, curve.traces), default=0)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": "none" if curve.is_sparse else _LINES[place // len(COLOURS) % len(_LINES)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markevery": max(1, math.ceil(longest / _MARKERS_A_CURVE)),
        "markersize": 5,
        "linewidth": 1.7,
    }
