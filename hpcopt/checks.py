"""Checks of parameters; their messages name the parameter, the allowed and the given value, in uniform wording."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from hpcopt.errors import InputError


def at_least(low: float, **values: float) -> None:
    """Raise an error for parameters below `low`: `at_least(1, local_steps=self.local_steps)`."""
    for name, value in values.items():
        if not value >= low:
            raise InputError(f"{name}: at least {low:g}, got {value!r}")


def above(low: float, **values: float) -> None:
    """Raise an error for parameters that are not above `low`, or infinite: `above(0, step_size=self.step_size)`."""
    for name, value in values.items():
        if not low < value < math.inf:
            raise InputError(f"{name}: expected a number above {low:g}, got {value!r}")


def within(
    low: float, high: float, *, including: Literal["neither", "low", "high", "both"] = "neither", **values: float
) -> None:
    """Raise an error for parameters outside the interval from `low` to `high`.

    For example, `within(0, 1, including="high", part=self.part)`.

    Parameters
    ----------
    including
        The ends that belong to the interval.
    """
    from_low, to_high = including in {"low", "both"}, including in {"high", "both"}
    end = f"{high:.4g}" if isinstance(high, float) else f"{high}"
    right = f"between {low:g} and {end}"
    if including != "neither":
        right = f"{'at least' if from_low else 'above'} {low:g} and {'at most' if to_high else 'below'} {end}"
    for name, value in values.items():
        if not (low < value < high or (from_low and value == low) or (to_high and value == high)):
            raise InputError(f"{name}: {right}, got {value!r}")


def one_of(choices: Iterable[str], **values: str) -> None:
    """Raise an error for parameters that are not among `choices`."""
    for name, value in values.items():
        if value not in choices:
            raise InputError(f"{name}: one of {', '.join(choices)}; got {value!r}")
