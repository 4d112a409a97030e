"""Pictures of finished runs: one run's convergence, and several runs over rounds, bytes and seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcopt.results.canvas import COLOURS, GREY, UNITS, entitle, explain, new_picture
from hpcopt.results.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_BELOW = {
    "grad_norm": ("norm of the gradient", True),
    "consensus": ("rms distance to the mean model", True),
    "test_accuracy": ("test accuracy", False),
    "test_error": ("test error", False),
}
"""What one run's picture shows below the objective: a column of the trace, in words, and whether logarithmic."""

Run = tuple[str, Sequence[Record]]  # label, trace

_MARKERS = "osD^vPX*"
_LINES = ("-", "--", ":", "-.")
_MARKERS_A_CURVE = 12
_WIDE = 30.0  # curves whose lengths differ by more than this factor share a logarithmic axis
_DECADES = 30.0  # a quantity that falls by more than this factor deserves a logarithmic axis
_ROUNDOFF = 1e-15  # relative: differences of objectives below this are noise


@dataclass(frozen=True)
class Height:
    """What is drawn upwards: the objective, or its distance to a reference where that tells more.

    Parameters
    ----------
    reference
        Subtracted from every objective.
    name
        Of the axis.
    logarithmic
        Whether the axis is.
    bottom
        Where an objective at the reference itself, which a logarithmic axis has no place for, is drawn.
    """

    reference: float
    name: str
    logarithmic: bool
    bottom: float = math.nan

    def of(self, objective: float) -> float:
        """Return the height of `objective`; NaN where there is none."""
        if not math.isfinite(objective):
            return math.nan
        height = objective - self.reference
        floor = _ROUNDOFF * max(abs(self.reference), abs(objective)) if self.reference else 0.0
        return height if not self.logarithmic or height > floor else self.bottom


def height_for(runs: Sequence[Run], target: float | None = None, optimum: float | None = None) -> Height:
    """Choose what to draw upwards, for all `runs` together.

    The distance to `optimum` if it is known and no run is below it. Else the distance to the lowest objective
    seen, if that falls far enough for a logarithmic axis to show more (a target must have a place on it, too).
    Else the objective itself.
    """
    values = [
        value for _, records in runs for value in (record.objective for record in records) if math.isfinite(value)
    ]
    if not values:
        return Height(0.0, "objective", False)
    lowest, start = min(values), max(records[0].objective for _, records in runs if records)
    if optimum is not None and optimum <= lowest:
        return Height(optimum, f"objective - optimum ({optimum:.6g})", True)
    above = [value - lowest for value in values if value - lowest > _ROUNDOFF * abs(lowest)]
    if above and (target is None or target > lowest) and start - lowest > _DECADES * min(above):
        smallest = min(above) if target is None else min(*above, target - lowest)
        return Height(lowest, f"objective - lowest seen ({lowest:.6g})", True, bottom=smallest / 2.0)
    return Height(0.0, "objective", lowest > 0 and start > _DECADES * lowest)


def draw_compare(runs: Sequence[Run], path: str | Path, title: str, target: float | None = None) -> None:
    """Draw the objective of several runs over rounds, bytes and seconds, side by side, into the PNG `path`.

    Parameters
    ----------
    runs
        A label and the records of each.
    target
        Objective to mark: a line, and a ring where a run first reaches it.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    height, ceiling = height_for(runs, target), _ceiling(runs)
    lasts = [records[-1].objective if records else 0.0 for _, records in runs]
    leaves = [not math.isfinite(last) or last > ceiling for last in lasts]
    names = [f"{label} (off the scale)" if off else label for (label, _), off in zip(runs, leaves, strict=True)]
    with new_picture(Path(path), 13.0, 4.2) as figure:
        axes = figure.subplots(1, 3, sharey=True)
        for axis, measure in zip(axes, _measures(runs), strict=True):
            curves = [_curve(axis, measure, height, records, target, i) for i, (_, records) in enumerate(runs)]
            _dress(axis, measure, runs)
            _mark_target(axis, height, target)
        _set_heights(axes[0], height, runs)
        explain(figure, curves, names)
        entitle(figure, title, 13.0)


def draw_convergence(
    records: Sequence[Record], path: str | Path, title: str, target: float | None = None, optimum: float | None = None
) -> None:
    """Draw one run into the PNG `path`.

    Above, the objective over rounds, bytes and seconds; below, over rounds, the gradient's norm, the nodes' distance to
    their mean where they have models of their own, and the test measure if there is one.

    Parameters
    ----------
    records
        What was recorded.
    target
        Objective to mark.
    optimum
        The lowest objective possible, if known.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    below = [
        name for name in _BELOW if name == "grad_norm" or any(getattr(record, name) is not None for record in records)
    ]
    runs = [("", records)]
    measures = _measures(runs)
    height = height_for(runs, target, optimum)
    with new_picture(Path(path), 13.0, 7.5) as figure:
        (top, bottom) = figure.subplots(2, 3)
        for axis, measure in zip(top, measures, strict=True):
            _curve(axis, measure, height, records, target, 0)
            _set_heights(axis, height, runs)
            _mark_target(axis, height, target)
            _dress(axis, measure, runs)
        for axis, name in zip(bottom, below, strict=False):
            words, logarithmic = _BELOW[name]
            _plain_curve(axis, records, name, words, 1, logarithmic=logarithmic)
            _dress(axis, measures[0], runs)
        for axis in bottom[len(below) :]:
            axis.remove()
        entitle(figure, f"{title}\n{_totals(records, measures)}")


@dataclass(frozen=True)
class _Measure:
    """What is drawn to the right: its axis' name, and how to read it from a record."""

    name: str
    of: Callable[[Record], float]


def _measures(runs: Sequence[Run]) -> tuple[_Measure, _Measure, _Measure]:
    """Return rounds, bytes in the unit that suits the longest run, and seconds of the runs' clock."""
    sent = max((float(record.bytes) for _, records in runs for record in records), default=0.0)
    size, unit = next(((size, unit) for size, unit in UNITS if sent >= size), (1.0, "bytes"))
    clock = " and ".join(sorted({record.clock for _, records in runs for record in records[:1]}))
    return (
        _Measure("rounds", lambda record: float(record.round)),
        _Measure(f"{unit} sent" if sent else "bytes sent (none: one node)", lambda record: record.bytes / size),
        _Measure(f"seconds ({clock} clock)", lambda record: record.seconds),
    )


def _curve(
    axis: Axes,
    measure: _Measure,
    height: Height,
    records: Sequence[Record],
    target: float | None,
    place: int,
) -> Line2D:
    """Draw one run, with a ring where it first reaches the target; return its line."""
    colour = COLOURS[place % len(COLOURS)]
    xs = [measure.of(record) for record in records]
    (line,) = axis.plot(
        xs,
        [height.of(record.objective) for record in records],
        color=colour,
        linestyle=_LINES[place // len(COLOURS) % len(_LINES)],
        marker=_MARKERS[place % len(_MARKERS)],
        markevery=max(1, math.ceil(len(records) / _MARKERS_A_CURVE)),
        markersize=5,
        linewidth=1.7,
    )
    reached = next((record for record in records if target is not None and record.objective <= target), None)
    if reached is not None:
        axis.plot(
            measure.of(reached),
            height.of(reached.objective),
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=colour,
            markeredgewidth=1.5,
        )
    return line


def _plain_curve(axis: Axes, records: Sequence[Record], key: str, name: str, place: int, *, logarithmic: bool) -> None:
    """Draw one column of a trace over rounds."""
    present = [(float(record.round), float(y)) for record in records if (y := getattr(record, key)) is not None]
    drawn = [(x, y) for x, y in present if math.isfinite(y) and (y > 0 or not logarithmic)]
    axis.plot(
        [x for x, _ in drawn],
        [y for _, y in drawn],
        color=COLOURS[place],
        marker=_MARKERS[place],
        markevery=max(1, math.ceil(len(drawn) / _MARKERS_A_CURVE)),
        markersize=5,
        linewidth=1.7,
    )
    axis.set_ylabel(name)
    if logarithmic and drawn:
        axis.set_yscale("log")


def _dress(axis: Axes, measure: _Measure, runs: Sequence[Run]) -> None:
    """Name the horizontal axis, make it logarithmic where the runs' lengths differ widely, draw the grid."""
    ends = [end for end in (max(map(measure.of, records), default=0.0) for _, records in runs) if end > 0]
    if ends and max(ends) > _WIDE * min(ends):
        first = min(x for _, records in runs for x in map(measure.of, records) if x > 0)
        axis.set_xscale("symlog", linthresh=first, linscale=0.4)  # linear up to `first`: a run's start lies at 0
        decades = range(math.ceil(math.log10(first)), math.floor(math.log10(max(ends))) + 1)
        ticks = [0.0, *(10.0**decade for decade in decades)]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xlim(left=-0.1 * first)
    elif ends:
        axis.set_xlim(-0.02 * max(ends), 1.03 * max(ends))
        axis.locator_params(axis="x", nbins=6, integer=measure.name == "rounds")
    else:
        axis.set_xticks([0.0])
    axis.set_xlabel(measure.name)
    axis.grid(True, color="#DDDDDD", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _set_heights(axis: Axes, height: Height, runs: Sequence[Run]) -> None:
    """Name and scale the vertical axis; a run that diverges leaves it at the top instead of flattening the others."""
    axis.set_ylabel(height.name)
    if height.logarithmic:
        axis.set_yscale("log")
    top = _ceiling(runs)
    drawn = [(value, height.of(value)) for _, records in runs for value in (record.objective for record in records)]
    if not any(math.isfinite(value) and value > top for value, _ in drawn):
        return
    inside = [high for value, high in drawn if value <= top and math.isfinite(high)]
    low, high = min(inside, default=0.0), height.of(top)
    if height.logarithmic:
        axis.set_ylim(low / 2.0, high)
    else:
        axis.set_ylim(low - 0.05 * (high - low), high)


def _ceiling(runs: Sequence[Run]) -> float:
    """Return the objective above which nothing is drawn: somewhat higher than every start."""
    starts = [records[0].objective for _, records in runs if records]
    highest = max((start for start in starts if math.isfinite(start)), default=math.inf)
    return highest + max(abs(highest), 1.0)


def _mark_target(axis: Axes, height: Height, target: float | None) -> None:
    if target is None:
        return
    line = height.of(target)
    if math.isfinite(line):
        axis.axhline(line, color=GREY, linestyle=(0, (6, 4)), linewidth=1.1, zorder=1)
        axis.annotate(
            f"target {target:g}",
            xy=(1.0, line),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=GREY,
        )


def _totals(records: Sequence[Record], measures: Sequence[_Measure]) -> str:
    if not records:
        return "no records"
    return ", ".join(f"{measure.of(records[-1]):.4g} {measure.name}" for measure in measures)
