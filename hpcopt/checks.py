"""Checks of parameters: each names the parameter, what is allowed and what was given, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hpcopt.errors import InputError


def at_least(low: float, **values: float) -> None:
    """Refuse parameters below `low`: `at_least(1, local_steps=self.local_steps)`."""
    for name, value in values.items():
        if not value >= low:
            raise InputError(f"{name}: at least {low:g}, got {value!r}")


def within(
    low: float, high: float, *, including: Literal["neither", "low", "high", "both"] = "neither", **values: float
) -> None:
    """Refuse parameters outside the interval from `low` to `high`: `within(0, 1, including="high", part=self.part)`.

    Parameters
    ----------
    including
        Which ends belong to the interval.
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
    """Refuse parameters that are none of `choices`."""
    for name, value in values.items():
        if value not in choices:
            raise InputError(f"{name}: one of {', '.join(choices)}; got {value!r}")
