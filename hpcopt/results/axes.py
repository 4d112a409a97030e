"""The axes of a panel: their labels, scales, limits and ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpcopt.results.canvas import GREY
from hpcopt.results.curves import Curve
from hpcopt.results.heights import Height
from hpcopt.results.look import Look
from hpcopt.results.measures import Measure
from hpcopt.results.ticks import length, log_ticks, tick_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 20.0  # curves whose lengths differ by more than this factor get a logarithmic axis
_START = 0.4  # decades that the linear beginning of a logarithmic axis takes
_CHARACTER = 0.025  # fraction of a panel's width that a character at the horizontal axis takes
_END = 1.07  # end of the horizontal axis, in lengths of the longest curve: room for the ring at the target
_MOST_STEPS = 6  # at the horizontal axis
_DECIMALS = 4  # letters of a number such as 0.25
_LONG = 6  # from this power of ten on, it stands at the horizontal axis' label, so that the numbers fit side by side
_AWAY = 1.0  # times the range of the last three quarters: a starting value farther away would flatten them
_FEW_DECADES = 3.0  # a logarithmic axis of fewer gets ticks between them


def dress_across(axis: Axes, measure: Measure, curves: Sequence[Curve], look: Look) -> None:
    """Label the horizontal axis, make it logarithmic if the runs' lengths differ widely, and draw the grid."""
    axis.set_xlabel(measure.name)
    ends = [end for curve in curves for end in map(measure.of, curve.lasts) if end > 0]
    if ends and look.is_log("x", max(ends) > _WIDE * min(ends)):
        first = min(x for curve in curves for x in map(measure.of, curve.records) if x > 0)
        axis.set_xscale("symlog", linthresh=first, linscale=_START)  # linear up to `first`, as a run starts at 0
        ticks = _apart(log_ticks(first, max(ends)), first, max(ends)) if max(ends) > first else [0.0, first]
        axis.set_xticks(ticks, list(map(tick_label, ticks)))
        axis.set_xticks([], minor=True)
        axis.set_xlim(left=-0.1 * first)
    elif ends:
        axis.set_xlim(-0.02 * max(ends), _END * max(ends))
        power = 3 * int(math.log10(max(ends)) // 3)
        digits = len(f"{max(ends) / (10.0**power if power >= _LONG else 1.0):.0f}")
        axis.locator_params(axis="x", nbins=_steps(axis, digits), integer=measure.is_whole)
        if power >= _LONG:
            axis.xaxis.set_major_formatter(lambda tick, _: f"{tick / 10.0**power:.6g}")
            axis.set_xlabel(f"{measure.name} ($10^{power}$)")
    else:
        axis.set_xticks([0.0])
    axis.grid(True, color="#DDDDDD", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _steps(axis: Axes, digits: int) -> int:
    """Return how many steps the horizontal axis has room for, with numbers of so many digits, or of few decimals."""
    room = axis.get_window_extent().width / axis.figure.dpi * 72.0  # points
    letter = 0.65 * float(axis.xaxis.label.get_fontsize())
    return max(1, min(_MOST_STEPS, int(room / letter / (max(digits, _DECIMALS) + 1))))


def _apart(ticks: Sequence[float], first: float, last: float) -> list[float]:
    """Return 0 and the ticks between two numbers without those whose labels would touch the one before."""
    kept, right = [0.0], _CHARACTER
    for tick in ticks:
        place = (_START + math.log10(tick / first)) / (_START + math.log10(last / first))
        half = 0.5 * length(tick_label(tick)) * _CHARACTER
        if place - half > right:
            kept.append(tick)
            right = place + half + _CHARACTER
    return kept


def dress_upwards(axis: Axes, height: Height, curves: Sequence[Curve], target: float | None) -> None:
    """Label and scale the vertical axis of a panel after its curves; one that diverges doesn't flatten the rest."""
    axis.set_ylabel(height.name)
    values = [value for curve in curves for record in curve.records if not math.isnan(value := height.of(record))]
    if not values:
        axis.set_yticks([])
        nothing = f"no {'positive' if height.logarithmic else 'finite'} value"
        axis.text(0.5, 0.5, nothing, transform=axis.transAxes, ha="center", color=GREY)
        return
    if height.logarithmic:
        axis.set_yscale("log")
    elif height.is_whole:
        axis.locator_params(axis="y", integer=True)
    top = height.above(height.ceiling)
    if max(values) > top:
        line = math.nan if target is None else height.above(target)
        low = min([*(value for value in values if value <= top), *([] if math.isnan(line) else [line])])
        axis.set_ylim(low / 2.0 if height.logarithmic else low - 0.05 * (top - low), top)
    if height.logarithmic:
        low, high = axis.get_ylim()
        if high < low * 10.0**_FEW_DECADES:
            ticks = log_ticks(low, high)
            axis.set_yticks(ticks, list(map(tick_label, ticks)))
            axis.yaxis.set_minor_formatter("")


def leave_out_the_start(axis: Axes, height: Height, trace: Sequence[float]) -> None:
    """Limit the vertical axis to the later values of a trace if its first is far away from them; the label says so."""
    later = trace[max(1, len(trace) // 4) :]
    if height.logarithmic or len(later) < 2:
        return
    span = max(later) - min(later)
    if not min(later) - _AWAY * span <= trace[0] <= max(later) + _AWAY * span:
        room = 0.05 * span or 0.05 * abs(trace[0] - later[0])
        axis.set_ylim(min(later) - room, max(later) + room)
        axis.set_ylabel(f"{height.name}; {trace[0]:.4g} at the start, off the scale")
