"""Pictures of finished runs: one run's convergence, and several runs over rounds, bytes and seconds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcopt.results.canvas import COLOURS, GREY, UNITS, entitle, explain, new_picture
from hpcopt.results.goal import Goal
from hpcopt.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_BELOW = {
    "grad_norm": ("norm of the gradient", True),
    "consensus": ("rms distance to the mean model", True),
    "nonzeros": ("weights other than zero", False),
    "test_accuracy": ("test accuracy", False),
    "test_error": ("test error", False),
}
"""The lower panels of one run's picture: column of the trace -> (name, whether logarithmic)."""

Run = tuple[str, Sequence[Record]]  # label, trace

_MARKERS = "osD^vPX*"
_LINES = ("-", "--", ":", "-.")
_MARKERS_A_CURVE = 12
_FEW = 3  # up to this many records no line is drawn if iterations lie between them, as it would suggest measurements
_WIDE = 20.0  # curves whose lengths differ by more than this factor get a logarithmic axis
_PLAIN = (-3, 6)  # powers of ten between which numbers at the horizontal axis are written in full, so that they fit
_DECADES = 10.0  # a quantity that falls by more than this factor gets a logarithmic axis
_LABEL = 42  # characters that fit beside a panel
_ROUNDOFF = 1e-15  # relative: smaller differences of objectives are roundoff
_BELOW_OPTIMUM = 1e-12  # relative: an objective lower than the optimum by more than this is not roundoff
_AWAY = 1.0  # times the range of the last three quarters: a starting value farther away would flatten them


@dataclass(frozen=True)
class Height:
    """The vertical quantity: the objective, or its distance to the optimum if that is known.

    Parameters
    ----------
    name
        Label of the axis.
    logarithmic
        Whether the axis is logarithmic.
    optimum
        Subtracted from every objective.
    """

    name: str
    logarithmic: bool
    optimum: float | None = None

    def of(self, objective: float) -> float:
        """Return the height of `objective`, above the optimum by at least roundoff; NaN if there is no objective."""
        if not math.isfinite(objective):
            return math.nan
        if self.optimum is None:
            return objective if objective > 0 or not self.logarithmic else math.nan
        return max(objective - self.optimum, _ROUNDOFF * max(abs(self.optimum), abs(objective))) or math.nan


_COUNT = Height(_BELOW["nonzeros"][0], False)


def _counts(records: Sequence[Record]) -> list[Record]:
    """Return the records with the number of weights other than zero in place of the objective."""
    return [replace(record, objective=float(record.nonzeros or 0)) for record in records]


def height_for(runs: Sequence[Run], goal: Goal) -> Height:
    """Choose the vertical quantity for all `runs` together, whose objectives are those that the goal judges.

    The distance to the optimum if that is known; if a run is below it, the given optimum is wrong, and the axis says
    so. Otherwise the objective itself, never its distance to the lowest recorded value: such a curve always bends down
    at its end.
    """
    name = goal.whose(records[0].consensus is not None for _, records in runs if records)
    values = [record.objective for _, records in runs for record in records if math.isfinite(record.objective)]
    if not values:
        return Height(name, False)
    lowest, start = min(values), max(records[0].objective for _, records in runs if records)
    logarithmic = lowest > 0 and start > _DECADES * lowest
    if goal.optimum is None:
        return Height(name, logarithmic)
    if lowest < goal.optimum - _BELOW_OPTIMUM * max(abs(lowest), abs(goal.optimum)):
        return Height(f"{name} (as low as {lowest:.8g}: below problem.optimum, {goal.optimum:.8g})", logarithmic)
    return Height(f"{name} minus the optimum ({goal.optimum:.8g})", True, goal.optimum)


def draw_compare(runs: Sequence[Run], path: str | Path, title: str, goal: Goal | None = None) -> None:
    """Draw the objective of several runs over rounds, bytes and seconds, side by side, into the picture `path`.

    If the bytes that went up are known of all runs, and aren't half of all bytes in each, they have a panel, too. If
    all runs count weights other than zero, a second row of panels shows their number.

    Parameters
    ----------
    runs
        The label and the records of each run.
    goal
        The measure by which they are judged. A target is drawn as a line, with a ring where a run first reaches it.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    goal = goal or Goal()
    runs = [(label, goal.judged(records)) for label, records in runs]
    height, ceiling, measures = height_for(runs, goal), _ceiling(runs), _measures(runs, up=True)
    lasts = [records[-1].objective if records else 0.0 for _, records in runs]
    leaves = [not math.isfinite(last) or last > ceiling for last in lasts]
    names = [f"{label} (off the scale)" if off else label for (label, _), off in zip(runs, leaves, strict=True)]
    counted = all(record.nonzeros is not None for _, records in runs for record in records)
    with new_picture(Path(path), 13.0, 7.6 if counted else 4.2) as figure:
        axes = figure.subplots(2 if counted else 1, len(measures), sharey="row", squeeze=False)
        for place, measure in enumerate(measures):
            curves = [_curve(axes[0, place], measure, height, records, nth) for nth, (_, records) in enumerate(runs)]
            more = _mark_target(axes[0, place], [(measure, records) for _, records in runs], height, goal)
            for nth, (_, records) in enumerate(runs if counted else ()):
                _curve(axes[1, place], measure, _COUNT, _counts(records), nth)
            for axis in axes[:, place]:
                _dress(axis, measure, runs)
        _set_heights(axes[0, 0], height, runs, goal)
        if counted:
            axes[1, 0].set_ylabel(_COUNT.name)
        explain(figure, [*curves, *more.values()], [*names, *more])
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
    goal = goal or Goal()
    runs = [("", goal.judged(records))]
    measures, height = _measures(runs), height_for(runs, goal)
    below = [name for name in _BELOW if len(_values(records, name)) > 1]
    rows, columns = (2 if below else 1), max(len(measures), len(below))
    mean = "" if records and records[0].consensus is None else ", mean model"
    with new_picture(Path(path), 13.0, 3.8 * rows) as figure:
        panels = figure.subplots(rows, columns, squeeze=False)
        for axis, measure in zip(panels[0], measures, strict=False):
            parts = _parts(measure, records)
            curves = [_curve(axis, part, height, runs[0][1], place) for place, part in enumerate(parts)]
            if len(parts) > 1:
                axis.legend(curves, [part.name for part in parts], frameon=False)
            more = _mark_target(axis, [(part, runs[0][1]) for part in parts], height, goal)
            _set_heights(axis, height, runs, goal)
            _dress(axis, measure, runs)
        for axis, name in zip(panels[-1] if below else (), below, strict=False):
            _plain_curve(axis, records, name, "" if name == "consensus" else mean)
            _dress(axis, measures[0], runs)
        for axis in (*panels[0, len(measures) :], *(panels[1, len(below) :] if below else ())):
            axis.remove()
        explain(figure, list(more.values()), list(more))
        entitle(figure, f"{title}\n{_totals(records, runs)}")


@dataclass(frozen=True)
class _Measure:
    """A horizontal quantity: the label of its axis, how to get it from a record, and the size of a unit of bytes."""

    name: str
    of: Callable[[Record], float]
    size: float = 0.0


def _all_measures(runs: Sequence[Run]) -> list[_Measure]:
    """Return rounds, bytes in a unit suitable for the longest run, and seconds of the runs' clock."""
    sent = max((float(record.bytes) for _, records in runs for record in records), default=0.0)
    size, unit = next(((size, unit) for size, unit in UNITS if sent >= size), UNITS[-1])
    clock = " and ".join(sorted({record.clock for _, records in runs for record in records[:1]}))
    in_slots = all(record.slots is not None for _, records in runs for record in records[:1])
    return [
        _Measure("time slots", lambda record: float(record.slots or 0))
        if in_slots
        else _Measure("rounds", lambda record: float(record.round)),
        _Measure(f"{unit} sent", lambda record: record.bytes / size, size),
        _Measure(f"seconds ({clock} clock)", lambda record: record.seconds),
    ]


def _parts(measure: _Measure, records: Sequence[Record]) -> list[_Measure]:
    """Return the measures that one is the sum of: of bytes, those of each level in use, or of each direction."""
    if not (records and measure.size):
        return [measure]
    links = records[-1].bytes_by_link or {}
    if not links and _is_directed([("", records)]):
        return [_way(measure, "up"), _way(measure, "down")]

    def part(link_class: str) -> _Measure:
        return _Measure(link_class, lambda record: (record.bytes_by_link or {}).get(link_class, 0) / measure.size)

    return [part(link_class) for link_class, sent in links.items() if sent] or [measure]


def _way(sent: _Measure, way: str) -> _Measure:
    """Return the measure of the bytes that went one way, "up" or "down"."""
    return _Measure(way, lambda record: (getattr(record, f"bytes_{way}") or 0) / sent.size)


def _is_directed(runs: Sequence[Run]) -> bool:
    """Return whether the directions of all bytes are known, and a run has more of the one than of the other."""
    ways = [(records[-1].bytes_up, records[-1].bytes_down) for _, records in runs if records]
    return all(up is not None for up, _ in ways) and any(up != down for up, down in ways)


def _measures(runs: Sequence[Run], *, up: bool = False) -> list[_Measure]:
    """Return those with a curve: a single node sends nothing, and a run that ends at its start takes no time.

    With `up`, the bytes that went up are one of them, if they are not half of all bytes.
    """
    rounds, sent, seconds = _all_measures(runs)
    ways = [replace(_way(sent, "up"), name=f"{sent.name} up")] if up and _is_directed(runs) else []
    others = [sent, *ways, seconds]
    return [rounds, *(one for one in others if any(one.of(record) > 0 for _, records in runs for record in records))]


def _totals(records: Sequence[Record], runs: Sequence[Run]) -> str:
    if not records:
        return "no records"
    return ", ".join(f"{measure.of(records[-1]):.4g} {measure.name}" for measure in _all_measures(runs))


def _look(place: int, records: Sequence[Record]) -> dict[str, Any]:
    """Return the style of a curve; without a line if there are few records with iterations between them."""
    skipped = any(after.iteration - before.iteration > 1 for before, after in pairwise(records))
    line = _LINES[place // len(COLOURS) % len(_LINES)]
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": "none" if skipped and len(records) <= _FEW else line,
        "marker": _MARKERS[place % len(_MARKERS)],
        "markevery": max(1, math.ceil(len(records) / _MARKERS_A_CURVE)),
        "markersize": 5,
        "linewidth": 1.7,
    }


def _curve(axis: Axes, measure: _Measure, height: Height, records: Sequence[Record], place: int) -> Line2D:
    """Draw the objective of one run, for the records that have one; return its line."""
    drawn = [record for record in records if not math.isnan(height.of(record.objective))]
    xs, ys = [measure.of(record) for record in drawn], [height.of(record.objective) for record in drawn]
    (line,) = axis.plot(xs, ys, **_look(place, drawn))
    return line


def _plain_curve(axis: Axes, records: Sequence[Record], key: str, whose: str) -> None:
    """Draw one column of a trace over rounds, or time slots."""
    words, logarithmic = _BELOW[key]
    drawn = _values(records, key)
    values = [value for _, value in drawn]
    look = _look(1, [record for record, _ in drawn])
    across = _all_measures([("", records)])[0]
    axis.plot([across.of(record) for record, _ in drawn], values, **look)
    axis.set_ylabel(_upwards(words + whose))
    if logarithmic:
        axis.set_yscale("log")
        return
    later = values[max(1, len(values) // 4) :]
    span = max(later) - min(later)
    if len(later) > 1 and not min(later) - _AWAY * span <= values[0] <= max(later) + _AWAY * span:
        room = 0.05 * span or 0.05 * abs(values[0] - later[0])
        axis.set_ylim(min(later) - room, max(later) + room)
        axis.set_ylabel(_upwards(f"{words}{whose} (at the start {values[0]:.4g}, off the scale)"))
    if drawn and isinstance(getattr(drawn[0][0], key), int):
        axis.locator_params(axis="y", integer=True)


def _upwards(name: str) -> str:
    """Wrap the label of a vertical axis to the axis' length."""
    return "\n".join(textwrap.wrap(name, _LABEL))


def _values(records: Sequence[Record], key: str) -> list[tuple[Record, float]]:
    """Return the records that have a value to draw, with that value."""
    there = [(record, float(value)) for record in records if (value := getattr(record, key)) is not None]
    logarithmic = _BELOW[key][1]
    return [(record, value) for record, value in there if math.isfinite(value) and (value > 0 or not logarithmic)]


def _dress(axis: Axes, measure: _Measure, runs: Sequence[Run]) -> None:
    """Label the horizontal axis, make it logarithmic if the runs' lengths differ widely, and draw the grid."""
    ends = [end for end in (max(map(measure.of, records), default=0.0) for _, records in runs) if end > 0]
    if ends and max(ends) > _WIDE * min(ends):
        first = min(x for _, records in runs for x in map(measure.of, records) if x > 0)
        axis.set_xscale("symlog", linthresh=first, linscale=0.4)  # linear up to `first`, as a run starts at 0
        decades = range(math.ceil(math.log10(first)), math.floor(math.log10(max(ends))) + 1)
        ticks = [0.0, *(10.0**decade for decade in decades)]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xlim(left=-0.1 * first)
    elif ends:
        axis.set_xlim(-0.02 * max(ends), 1.03 * max(ends))
        axis.locator_params(axis="x", nbins=6, integer=measure.name in {"rounds", "time slots"})
        axis.ticklabel_format(axis="x", scilimits=_PLAIN)
    else:
        axis.set_xticks([0.0])
    axis.set_xlabel(measure.name)
    axis.grid(True, color="#DDDDDD", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _set_heights(axis: Axes, height: Height, runs: Sequence[Run], goal: Goal) -> None:
    """Label and scale the vertical axis; a diverging run leaves it at the top instead of flattening the others."""
    axis.set_ylabel(_upwards(height.name))
    values = [record.objective for _, records in runs for record in records if math.isfinite(record.objective)]
    if not values:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "no finite value", transform=axis.transAxes, ha="center", color=GREY)
        return
    if height.logarithmic:
        axis.set_yscale("log")
    top = _ceiling(runs)
    if max(values) <= top:
        return
    shown = [height.of(value) for value in values if value <= top]
    line = math.nan if goal.target is None else height.of(goal.target)
    low, high = min([*shown, *([] if math.isnan(line) else [line])]), height.of(top)
    if height.logarithmic:
        axis.set_ylim(low / 2.0, high)
    else:
        axis.set_ylim(low - 0.05 * (high - low), high)


def _ceiling(runs: Sequence[Run]) -> float:
    """Return the upper limit of the objective: somewhat higher than every starting value."""
    starts = [records[0].objective for _, records in runs if records]
    highest = max((start for start in starts if math.isfinite(start)), default=math.inf)
    return highest + max(abs(highest), 1.0)


def _mark_target(
    axis: Axes, curves: Sequence[tuple[_Measure, Sequence[Record]]], height: Height, goal: Goal
) -> dict[str, Line2D]:
    """Draw the target as a line, and a ring where a curve first reaches it; return their legend entries."""
    if goal.target is None:
        return {}
    text, line = f"target {goal.target:.8g}", height.of(goal.target)
    if math.isnan(line) or (height.optimum is not None and goal.target <= height.optimum):
        return {f"{text} (below the axis)": axis.plot([], [], linestyle="none")[0]}
    marked = {text: axis.axhline(line, color=GREY, linestyle=(0, (6, 4)), linewidth=1.1, zorder=1)}
    ring: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "markersize": 13,
        "markerfacecolor": "none",
        "markeredgewidth": 1.5,
    }
    for place, (measure, records) in enumerate(curves):
        reached = next((record for record in records if record.objective <= goal.target), None)
        if reached is not None:
            at = measure.of(reached), height.of(reached.objective)
            axis.plot(*at, markeredgecolor=COLOURS[place % len(COLOURS)], **ring)
    if any(record.objective <= goal.target for _, records in curves for record in records):
        marked["first at the target"] = axis.plot([], [], markeredgecolor=GREY, **{**ring, "markersize": 9})[0]
    return marked
