"""The pictures of a study: times, speed-up and efficiency with the ideal lines, costs, and where the time went."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpcopt.results.canvas import GREY, drawing, new_picture
from hpcopt.results.look import Look
from hpcopt.results.page import Page
from hpcopt.results.styles import BAND, COLOURS, LINES, MARKERS, band, thin
from hpcopt.scaling.cells import Cell, Curve
from hpcopt.scaling.efficiency import Efficiency, baseline, efficiency, shrinks, throughput
from hpcopt.scaling.remarks import place
from hpcopt.scaling.table import ScalingTable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Of = Callable[[Cell], float]


@dataclass(frozen=True)
class _Panel:
    """The name of the height, the height of a cell, that of the ideal, and the scale, by default as fits."""

    name: str
    height: Of
    ideal: Of | None = None
    scale: Literal["doublings", "linear"] | None = None


_BUDGETS = {"target": "to the goal", "iterations": "of {} iterations"}
_WIDE = 8.0  # largest over smallest height from which an axis is logarithmic
_PARTS = ("compute", "wait", "exchange", "other")
_PART_COLOURS = ("#117733", "#E69F00", "#0072B2", "#BBBBBB")
_HATCHES = ("", "///", "...", "")
_MOST_BARS = 32
_BAR = 0.28  # inches


def draw_curves(curves: Sequence[Curve], table: ScalingTable, path: Path, title: str) -> None:
    """Draw the curves of a study into a picture.

    Raises
    ------
    NotDrawnError
        For any failure, in one line.
    """
    budgets = [budget for budget in _BUDGETS if any(curve.budget == budget for curve in curves)]
    together = {budget: [curve for curve in curves if curve.budget == budget] for budget in budgets}
    names = list(dict.fromkeys(curve.series for curve in curves))
    with drawing(path):
        rows = [(own, _panels(own, table, budget)) for budget, own in together.items()]
        if "target" in together:
            rows.append((together["target"], _costs()))
        page = Page([len(panels) for _, panels in rows], Look(), 3.6)
        with page.new_picture(path) as figure:
            legend: dict[str, Artist] = {}
            for (own, panels), axes in zip(rows, page.panels(figure), strict=True):
                for axis, panel in zip(axes, panels, strict=True):
                    legend |= _draw(axis, own, panel, names)
                    _dress(axis, own, table, panel)
            page.finish(figure, list(legend), list(legend.values()), title)


def _panels(curves: Sequence[Curve], table: ScalingTable, budget: str) -> list[_Panel]:
    """Return the panels of one budget."""
    until = _BUDGETS[budget].format(table.iterations)
    if table.kind == "throughput":
        return [_Panel(f"seconds {until}", _seconds), _Panel("rows processed a second", throughput)]
    places = {id(cell): (baseline(curve, curves), curve.cells[0]) for curve in curves for cell in curve.cells}

    def found(cell: Cell) -> Efficiency:
        base, own = places[id(cell)]
        return efficiency(cell, base, own, table)

    def ideal_seconds(cell: Cell) -> float:
        base = places[id(cell)][0]
        return base.seconds.median / shrinks(cell, base, table)

    scaled = f"{'scaled ' if table.kind == 'weak' else ''}speed-up {until}"
    return [
        _Panel(f"seconds {until}", _seconds, ideal_seconds),
        _Panel(scaled, lambda cell: found(cell).speed_up, lambda cell: float(cell.parallel), scale="doublings"),
        _Panel(f"efficiency {until}", lambda cell: found(cell).total, lambda _: 1.0, scale="linear"),
    ]


def _costs() -> list[_Panel]:
    return [
        _Panel("iterations to the goal", lambda cell: cell.middle(attrgetter("iterations"))),
        _Panel("rounds to the goal", lambda cell: cell.middle(attrgetter("rounds"))),
        _Panel("MB to the goal, of all nodes", lambda cell: cell.middle(lambda row: row.bytes / 1e6 or None)),
    ]


def _seconds(cell: Cell) -> float:
    return cell.seconds.median


def _across(cell: Cell, *, rows: bool = False) -> float:
    return float(cell.first.rows or 0) if rows else float(cell.parallel)


def _draw(axis: Axes, curves: Sequence[Curve], panel: _Panel, names: Sequence[str]) -> dict[str, Artist]:
    """Draw one panel; return its entries of the legend."""
    by_rows = len({cell.parallel for curve in curves for cell in curve.cells}) == 1
    legend: dict[str, Artist] = {}
    heights: list[float] = []
    for curve in curves:
        number = names.index(curve.series) + len(names) * (curve.threads - 1 if not curve.is_virtual else 0)
        points = [(_across(cell, rows=by_rows), panel.height(cell), cell) for cell in curve.cells]
        known = [point for point in points if point[1] > 0.0]
        xs, ys = [x for x, _, _ in known], [y for _, y, _ in known]
        style = _style(number, virtual=curve.is_virtual)
        legend[curve.label] = axis.plot(xs, ys, **style)[0]
        if panel.height is _seconds and any(cell.seconds.count > 1 for _, _, cell in known):
            low, high = ([getattr(cell.seconds, end) for _, _, cell in known] for end in ("low", "high"))
            axis.fill_between(xs, low, high, color=style["color"], alpha=BAND, linewidth=0.0)
            legend |= {"quartiles": band()}
        legend |= _mark_crowded(axis, [(x, y) for x, y, cell in known if cell.crowded])
        if panel.ideal is not None:
            line = sorted({(x, panel.ideal(cell)) for x, _, cell in known})
            axis.plot([x for x, _ in line], [y for _, y in line], **thin(style["color"]))
            legend |= {"ideal": axis.plot([], [], **thin(GREY))[0]}
        heights += ys
    if panel.scale == "doublings":
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    elif panel.scale is None and heights and max(heights) > _WIDE * min(heights):
        axis.set_yscale("log")
    else:
        axis.set_ylim(bottom=0.0)
    return legend


def _style(number: int, *, virtual: bool) -> dict[str, Any]:
    """Return the style of a curve; what was not measured but computed has hollow marks and a dashed line."""
    colour = COLOURS[number % len(COLOURS)]
    line = LINES[1] if virtual else LINES[0]
    return {
        "color": colour,
        "linestyle": line,
        "marker": MARKERS[number % len(MARKERS)],
        **({"markerfacecolor": "white", "alpha": 0.9} if virtual else {}),
    }


def _mark_crowded(axis: Axes, points: Sequence[tuple[float, float]]) -> dict[str, Artist]:
    """Cross out the points whose ranks had to share cores."""
    if not points:
        return {}
    style: dict[str, Any] = {
        "linestyle": "none",
        "marker": "x",
        "markersize": 11,
        "markeredgewidth": 1.6,
        "color": "#CC0000",
    }
    axis.plot([x for x, _ in points], [y for _, y in points], **style)
    return {"more ranks than cores": axis.plot([], [], **{**style, "markersize": 7})[0]}


def _dress(axis: Axes, curves: Sequence[Curve], table: ScalingTable, panel: _Panel) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    rows = table.kind == "throughput"
    ticks = sorted({_across(cell, rows=rows) for curve in curves for cell in curve.cells})
    axis.set_xscale("log", base=2)
    shown = ticks if len(ticks) <= 8 else ticks[:: math.ceil(len(ticks) / 8)]
    axis.xaxis.set_major_locator(FixedLocator(shown))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xticklabels([f"{tick:,.0f}" for tick in shown])
    threads = any(cell.first.threads > 1 for curve in curves for cell in curve.cells)
    axis.set_xlabel("rows" if rows else "ranks x threads" if threads else "ranks or virtual nodes")
    axis.set_ylabel(panel.name)
    axis.grid(visible=True, alpha=0.3)


def draw_split(curves: Sequence[Curve], path: Path, title: str) -> bool:
    """Draw where the time of the nodes went, a bar for each cell; return whether there was anything to draw.

    Raises
    ------
    NotDrawnError
        For any failure, in one line.
    """
    bars = [
        (curve, cell) for curve in curves for cell in curve.cells if not math.isnan(cell.middle(attrgetter("compute")))
    ]
    if not bars:
        return False
    shown = bars[:_MOST_BARS]
    left = f"; {len(bars) - len(shown)} more are in points.csv" if len(bars) > len(shown) else ""
    with drawing(path), new_picture(path, 11.0, 1.4 + _BAR * len(shown)) as figure:
        axis = figure.add_subplot()
        for height, (_, cell) in enumerate(shown):
            shares, start = _shares(cell), 0.0
            for share, colour, hatch in zip(shares, _PART_COLOURS, _HATCHES, strict=True):
                axis.barh(height, share, left=start, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5)
                start += share
        names = [f"{curve.series}, {place(cell)}, {curve.budget}" for curve, cell in shown]
        axis.set_yticks(range(len(shown)), names)
        axis.invert_yaxis()
        axis.set_xlim(0.0, 1.0)
        axis.set_xlabel(f"share of the time of a node, on average{left}")
        axis.set_title(title)
        from matplotlib.patches import Patch

        patches = [Patch(facecolor=c, hatch=h, edgecolor="white") for c, h in zip(_PART_COLOURS, _HATCHES, strict=True)]
        figure.legend(patches, _PARTS, loc="outside lower center", ncols=len(_PARTS), frameon=False)
    return True


def _shares(cell: Cell) -> list[float]:
    """Return the shares of computing, waiting, exchanging and the rest in the time of a node; they add up to one."""
    parts = [cell.middle(attrgetter(part)) for part in _PARTS]
    known = [0.0 if math.isnan(part) else part for part in parts]
    return [part / (sum(known) or 1.0) for part in known]
