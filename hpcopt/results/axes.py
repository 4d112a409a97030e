"""The axes of a panel: their labels, scales, limits and ticks."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpcopt.results.canvas import GREY
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.heights import Height
from hpcopt.results.measures import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 20.0  # curves whose lengths differ by more than this factor get a logarithmic axis
_PLAIN = (-3, 6)  # powers of ten between which numbers at the horizontal axis are written in full, so that they fit
_LABEL = 42  # characters that fit beside a panel
_START = 0.4  # decades that the linear beginning of a logarithmic axis takes
_CHARACTER = 0.025  # fraction of a panel's width that a character at the horizontal axis takes
_AWAY = 1.0  # times the range of the last three quarters: a starting value farther away would flatten them


def dress_across(axis: Axes, measure: Measure, curves: Sequence[Curve]) -> None:
    """Label the horizontal axis, make it logarithmic if the runs' lengths differ widely, and draw the grid."""
    ends = [end for curve in curves for end in map(measure.of, curve.lasts) if end > 0]
    if ends and max(ends) > _WIDE * min(ends):
        first = min(x for curve in curves for x in map(measure.of, curve.records) if x > 0)
        axis.set_xscale("symlog", linthresh=first, linscale=_START)  # linear up to `first`, as a run starts at 0
        ticks = _decades(first, max(ends))
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xlim(left=-0.1 * first)
    elif ends:
        axis.set_xlim(-0.02 * max(ends), 1.03 * max(ends))
        axis.locator_params(axis="x", nbins=6, integer=measure.whole)
        axis.ticklabel_format(axis="x", scilimits=_PLAIN)
    else:
        axis.set_xticks([0.0])
    axis.set_xlabel(measure.name)
    axis.grid(True, color="#DDDDDD", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _decades(first: float, last: float) -> list[float]:
    """Return 0 and the powers of ten between two numbers, without those whose labels would touch the one before."""
    ticks, right = [0.0], _CHARACTER
    for decade in range(math.ceil(math.log10(first)), math.floor(math.log10(last)) + 1):
        tick = 10.0**decade
        place = (_START + math.log10(tick / first)) / (_START + math.log10(last / first))
        half = 0.5 * len(f"{tick:g}") * _CHARACTER
        if place - half > right:
            ticks.append(tick)
            right = place + half + _CHARACTER
    return ticks


def dress_upwards(axis: Axes, height: Height, curves: Sequence[Curve], goal: Goal) -> None:
    """Label and scale the vertical axis; what leaves the scale at its start or end doesn't flatten the rest."""
    axis.set_ylabel(_upwards(height.name))
    values = [value for curve in curves for record in curve.records if not math.isnan(value := height.of(record))]
    if not values:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "no finite value", transform=axis.transAxes, ha="center", color=GREY)
        return
    if height.logarithmic:
        axis.set_yscale("log")
    elif height.is_whole:
        axis.locator_params(axis="y", integer=True)
    top = height.above(height.ceiling)
    if max(values) > top:
        line = math.nan if goal.target is None else height.above(goal.target)
        low = min([*(value for value in values if value <= top), *([] if math.isnan(line) else [line])])
        axis.set_ylim(low / 2.0 if height.logarithmic else low - 0.05 * (top - low), top)


def leave_out_the_start(axis: Axes, height: Height, trace: Sequence[float]) -> None:
    """Limit the vertical axis to the later values of a trace if its first is far away from them; the label says so."""
    later = trace[max(1, len(trace) // 4) :]
    if height.logarithmic or len(later) < 2:
        return
    span = max(later) - min(later)
    if not min(later) - _AWAY * span <= trace[0] <= max(later) + _AWAY * span:
        room = 0.05 * span or 0.05 * abs(trace[0] - later[0])
        axis.set_ylim(min(later) - room, max(later) + room)
        axis.set_ylabel(_upwards(f"{height.name} (at the start {trace[0]:.4g}, off the scale)"))


def _upwards(name: str) -> str:
    """Wrap the label of a vertical axis to the axis' length."""
    return "\n".join(textwrap.wrap(name, _LABEL))
