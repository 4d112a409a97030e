"""Penalties made for tests."""

from __future__ import annotations

from dataclasses import MISSING, fields

from hpcopt.problems.penalties import PENALTIES, Penalty

SIZE = 5
"""Number of coordinates that `penalty_of` is made for by default."""


def penalty_of(name: str, size: int = SIZE) -> Penalty:
    """Return the penalty with 0.3 for each number that has no default, on `size` coordinates."""
    kind = PENALTIES[name]
    if name == "group-lasso":
        return kind(weight=0.3, groups=((size - 1,), tuple(range(size - 1))))
    if name == "box":
        return kind(lower=-0.5, upper=0.8)
    return kind(**{field.name: 0.3 for field in fields(kind) if field.default is MISSING})
