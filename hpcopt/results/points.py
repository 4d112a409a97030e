"""The points of a curve in one panel; of several traces, those of their median and of the band around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcopt.results.curves import Curve
from hpcopt.results.heights import Height
from hpcopt.results.measures import Measure
from hpcopt.results.record import Record

Floats = NDArray[np.float64]

_POINTS = 500  # most points of a median
_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Points:
    """Where a curve goes.

    Parameters
    ----------
    xs, ys
        The points of the line, shape (points,).
    band
        The lower and the upper edge of the band, each of shape (points,); None for a single trace.
    """

    xs: Floats
    ys: Floats
    band: tuple[Floats, Floats] | None = None

    def first_at(self, height: float) -> tuple[float, float] | None:
        """Return the first point that is as low as `height`; None if there is none."""
        low = np.flatnonzero(self.ys <= height)
        return (float(self.xs[low[0]]), float(self.ys[low[0]])) if low.size else None


def points_of(curve: Curve, measure: Measure, height: Height) -> Points:
    """Return the points of the records that have a value, or those of the median of several traces."""
    if len(curve.traces) == 1:
        return Points(*_points(curve.traces[0], measure, height))
    traces = [_to_the_end(trace, measure, height) for trace in curve.traces]
    return _median([(xs, ys) for xs, ys in traces if xs.size], logarithmic=height.logarithmic)


def _points(trace: Sequence[Record], measure: Measure, height: Height) -> tuple[Floats, Floats]:
    drawn = [(measure.of(record), y) for record in trace if not math.isnan(y := height.of(record))]
    table = np.array(drawn, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _to_the_end(trace: Sequence[Record], measure: Measure, height: Height) -> tuple[Floats, Floats]:
    """Return the points of one of several traces; one that diverges ends off the scale, not at its last number."""
    xs, ys = _points(trace, measure, height)
    if trace and not math.isfinite(height.measured(trace[-1])) and math.isfinite(height.ceiling):
        xs, ys = np.append(xs, measure.of(trace[-1])), np.append(ys, height.above(2.0 * height.ceiling))
    return xs, ys


def _median(traces: list[tuple[Floats, Floats]], *, logarithmic: bool) -> Points:
    """Return the median and the quartiles of traces; one that has ended keeps its last value.

    Between its records a trace is taken to go straight, as its line does in the panel.
    """
    if not traces:
        return Points(np.empty(0), np.empty(0))
    grid = np.unique(np.concatenate([xs for xs, _ in traces]))
    if grid.size > _POINTS:
        grid = grid[np.linspace(0, grid.size - 1, _POINTS).round().astype(np.int64)]
    to, back = (np.log, np.exp) if logarithmic else (np.positive, np.positive)
    table = [np.interp(grid, xs, to(ys)) for xs, ys in traces]
    low, middle, high = back(np.quantile(table, _QUARTILES, axis=0))
    return Points(grid, middle, (low, high))
