"""Pictures of finished runs: one run's convergence, and several runs over rounds, bytes and seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcopt.errors import InputError
from hpcopt.results.axes import dress_across, dress_upwards, leave_out_the_start
from hpcopt.results.canvas import GREY
from hpcopt.results.curves import Curve, ideal_speed_ups
from hpcopt.results.goal import Goal
from hpcopt.results.heights import Height, chosen_height, judged_height, other_height
from hpcopt.results.look import Look
from hpcopt.results.measures import Measure, chosen_measures, main_measures, parts, used_measures
from hpcopt.results.page import Page
from hpcopt.results.points import Points, points_of
from hpcopt.results.record import Record
from hpcopt.results.styles import BAND, band, limit, look_of, ring, thin

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_BELOW = ("grad_norm", "consensus", "nonzeros", "test_accuracy", "test_error")  # the lower panels of one run

Legend = dict[str, "Artist"]


def draw_compare(
    curves: Sequence[Curve], path: Path | None, title: str, goal: Goal | None = None, look: Look | None = None
) -> Figure:
    """Draw several runs into the picture `path`, by default their objective over rounds, bytes and seconds.

    If the bytes that went up are known of all runs, and aren't half of all bytes in each, they have a panel, too. If
    all runs count weights other than zero, a second row of panels shows their number.

    Parameters
    ----------
    curves
        The label and the records of each run, or of its repetitions.
    path
        Its suffix is the format; None: nothing is written.
    goal
        The measure by which they are judged. A target is drawn as a line, with a ring where a run first reaches it.
    look
        Other axes, another size or title.

    Returns
    -------
    Figure
        Of matplotlib.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    InputError
        If a run doesn't have the quantity of an axis.
    """
    goal, look = goal or Goal(), look or Look()
    measures, heights = _across(curves, look), _upwards(curves, goal, look)
    page = Page([len(measures)] * len(heights), look, 4.2 if len(heights) == 1 else 3.8)
    ideal = _ideal(curves, measures) if look.speed_up else []
    with page.new_picture(path) as figure:
        legend: Legend = {}
        for axes, height in zip(page.panels(figure), heights, strict=True):
            target = goal.target if height.column == goal.column else None
            for place, (axis, measure) in enumerate(zip(axes, measures, strict=True)):
                if place:
                    axis.sharey(axes[0])
                    axis.tick_params(labelleft=place % page.columns == 0)
                lines, marks = _panel(axis, [(curve, measure) for curve in curves], height, target)
                legend |= marks | (_mark_speed_up(axis, ideal, measure, height) if measure.is_time else {})
                dress_across(axis, measure, curves, look)
            for axis in axes[:: page.columns]:
                dress_upwards(axis, height, curves, target)
        seeds = max((len(curve.traces) for curve in curves), default=1)
        legend |= {f"median and quartiles of {seeds} seeds": band()} if seeds > 1 else {}
        names = [f"{one.label} (off the scale)" if heights[0].is_left_by(one) else one.label for one in curves]
        page.finish(figure, [*names, *legend], [*lines, *legend.values()], title if look.title is None else look.title)
    return figure


def _across(curves: Sequence[Curve], look: Look) -> list[Measure]:
    """Return the horizontal quantities of several runs."""
    return chosen_measures(look.x, curves) if look.x else used_measures(_lasts(curves), up=True)


def _upwards(curves: Sequence[Curve], goal: Goal, look: Look) -> list[Height]:
    """Return the vertical quantities of several runs."""
    heights = [chosen_height(name, curves, goal) for name in look.y]
    if not heights:
        counted = all(last.nonzeros is not None for last in _lasts(curves))
        heights = [judged_height(curves, goal), *([other_height("nonzeros", curves)] if counted else [])]
    return [replace(height, logarithmic=look.is_log("y", height.logarithmic)) for height in heights]


def _ideal(curves: Sequence[Curve], measures: Sequence[Measure]) -> list[Curve | None]:
    """Return the curves of a speed-up in proportion to the nodes."""
    ideal = ideal_speed_ups(curves)
    if not (any(ideal) and any(measure.is_time for measure in measures)):
        raise InputError("speed_up: takes runs of one solver on different numbers of nodes, and x axes with seconds")
    return ideal


def _mark_speed_up(axis: Axes, ideal: Sequence[Curve | None], measure: Measure, height: Height) -> Legend:
    """Draw thin curves of a speed-up in proportion to the nodes; return their legend entry."""
    for place, curve in enumerate(ideal):
        if curve is not None:
            points = points_of(curve, measure, height)
            axis.plot(points.xs, points.ys, **thin(look_of(place, curve)["color"]))
    return {"speed-up in proportion to the nodes": axis.plot([], [], **thin(GREY))[0]} if any(ideal) else {}


def _lasts(curves: Sequence[Curve]) -> list[Record]:
    return [last for curve in curves for last in curve.lasts]


def draw_convergence(
    records: Sequence[Record], path: Path | None, title: str, goal: Goal | None = None, look: Look | None = None
) -> Figure:
    """Draw one run into the picture `path`.

    Upper panels: the objective over rounds (time slots, if workers make their steps in slots), bytes (in a hub network
    those of each level, otherwise those up and those down where they differ) and seconds. Lower panels, over rounds or
    slots: the gradient norm, the nodes' distance to their mean if they have their own models, and the test measure if
    there is one.

    Parameters
    ----------
    records
        The records of the run.
    path, goal, look
        As of `draw_compare`; the axes are those above.

    Returns
    -------
    Figure
        Of matplotlib.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    goal, look, curve = goal or Goal(), look or Look(), Curve("", [records])
    measures, height = used_measures(curve.lasts), _upwards([curve], goal, replace(look, y=()))[0]
    others = [other_height(column, [curve]) for column in _BELOW]
    below = [(other, values) for other in others if len(values := _values(records, other)) > 1]
    page = Page([len(measures), *([len(below)] if below else [])], look, 3.8)
    with page.new_picture(path) as figure:
        upper, *lower = page.panels(figure)
        for axis, measure in zip(upper, measures, strict=True):
            ways = [part for last in curve.lasts for part in parts(measure, last)] or [measure]
            lines, legend = _panel(axis, [(curve, way) for way in ways], height, goal.target)
            if len(ways) > 1:
                _name_parts(axis, lines, [way.name for way in ways])
            dress_upwards(axis, height, [curve], goal.target)
            dress_across(axis, measure, [curve], look)
        for axis, (other, values) in zip(lower[0] if below else (), below, strict=True):
            _panel(axis, [(curve, measures[0])], other, None)
            dress_upwards(axis, other, [curve], None)
            leave_out_the_start(axis, other, values)
            dress_across(axis, measures[0], [curve], look)
        told = f"{title}\n{_totals(curve)}" if look.title is None else look.title
        page.finish(figure, list(legend), list(legend.values()), told)
    return figure


def _values(records: Sequence[Record], height: Height) -> list[float]:
    return [value for record in records if not math.isnan(value := height.of(record))]


def _totals(curve: Curve) -> str:
    return ", ".join(measure.told(last) for last in curve.lasts for measure in main_measures([last])) or "no records"


def _name_parts(axis: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    """Name the curves of one panel above it, where the names cover nothing."""
    axis.legend(lines, names, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.0, ncols=2)


def _panel(
    axis: Axes, curves: Sequence[tuple[Curve, Measure]], height: Height, target: float | None
) -> tuple[list[Line2D], Legend]:
    """Draw curves and the target; return the lines, and the legend's other entries."""
    looks = [look_of(place, curve) for place, (curve, _) in enumerate(curves)]
    drawn = [(points_of(curve, measure, height), look) for (curve, measure), look in zip(curves, looks, strict=True)]
    lines = [axis.plot(points.xs, points.ys, **look)[0] for points, look in drawn]
    for points, look in drawn:
        if points.band is not None:
            axis.fill_between(points.xs, *points.band, color=look["color"], alpha=BAND, linewidth=0.0)
    return lines, _mark_target(axis, drawn, height, target)


def _mark_target(
    axis: Axes, drawn: Sequence[tuple[Points, dict[str, Any]]], height: Height, target: float | None
) -> Legend:
    """Draw the target as a line, and a ring where a curve first reaches it; return their legend entries."""
    if target is None:
        return {}
    best, line = height.optimum, height.above(target)
    if math.isnan(line) or (best is not None and target <= best):
        return {f"target {target:.8g} (below the axis)": axis.plot([], [], linestyle="none")[0]}
    text = f"target {target:.8g}" if best is None else f"target {target - best:.3g} above the optimum"
    marked: Legend = {text: axis.axhline(line, zorder=1, **limit())}
    reached = [(at, look["color"]) for points, look in drawn if (at := points.first_at(line)) is not None]
    for (x, y), colour in reached:
        axis.plot(x, y, **ring(colour))
    if reached:
        marked["first at the target"] = axis.plot([], [], **ring(GREY, among_names=True))[0]
    return marked
