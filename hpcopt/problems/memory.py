"""What an oracle remembers: the point it was asked for last, where asking again costs nothing.

A run that goes on from a checkpoint must be charged the same work as one that was not cut, so this belongs to it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter


class Known(Protocol):
    """A point, whose cached properties are what it knows of itself."""

    w: Vector


def remembered(point: Known | None) -> dict[str, Any]:
    """Return, as plain data, where `point` is and the names of what it knows; empty without one."""
    if point is None:
        return {}
    cached = [name for name, found in vars(type(point)).items() if isinstance(found, cached_property)]
    return {"w": point.w.copy(), "knows": [name for name in cached if name in vars(point)]}


def recall(point: Known, memory: dict[str, Any], meter: Meter) -> None:
    """Let `point`, which is where `memory` says, know as much again; no work is charged."""
    with meter.paused():
        for name in memory["knows"]:
            getattr(point, name)
