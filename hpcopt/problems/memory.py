"""An oracle's memory: its last point, for which repeated evaluations cost nothing.

A resumed run must be charged the same work as an uninterrupted one, so the memory is part of a checkpoint.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter


class Known(Protocol):
    """A point with cached properties."""

    w: Vector


def remembered(point: Known | None) -> dict[str, Any]:
    """Return, as plain data, the coordinates of `point` and the names of its cached properties; empty for None."""
    if point is None:
        return {}
    members = [member for kind in type(point).__mro__ for member in vars(kind).items()]
    cached = [name for name, found in members if isinstance(found, cached_property)]
    return {"w": point.w.copy(), "knows": [name for name in cached if name in vars(point)]}


def recall(point: Known, memory: dict[str, Any], meter: Meter) -> None:
    """Restore the cached properties in `memory` for `point`, which has its coordinates; no work is charged."""
    with meter.paused():
        for name in memory["knows"]:
            getattr(point, name)
