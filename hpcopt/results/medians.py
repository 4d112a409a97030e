"""Medians and quartiles over seeds, of numbers that some runs do not have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SPREAD = ("rounds", "seconds", "bytes", "objective", "suboptimality", "test_accuracy", "test_error")
"""Columns of a comparison that have quartiles over seeds."""


def quantile(values: Sequence[float], part: float) -> float:
    """Return the quantile of at least one value, with linear interpolation; infinite if it lies beside an infinite one.

    numpy's would be NaN there.
    """
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    if low == high:
        return high
    return low + (place - math.floor(place)) * (high - low)


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    return quantile(values, 0.5)


def median_row(rows: Sequence[Mapping[str, Any]], solver: str) -> dict[str, Any]:
    """Return one row for the runs of one solver with several seeds, given the row of each.

    Numbers are medians, where a run without a value, such as one that did not reach the target, counts as infinite. The
    columns `..._q1` and `..._q3` are quartiles, `seeds` is the number of runs, and `seeds_reached` that of the runs
    that reached the target. A single run has none of these columns.
    """
    if len(rows) == 1:
        return {**rows[0], "solver": solver}
    together = {name: [row[name] for row in rows] for name in rows[0]}
    reached = together["reached"]
    return {
        **{name: _middle(values) for name, values in together.items()},
        "solver": solver,
        "reached": None if None in reached else 2 * sum(reached) > len(reached),
        "seeds": len(rows),
        "seeds_reached": None if None in reached else sum(reached),
        **{f"{name}_q{part}": _number(together[name], part / 4) for name in SPREAD for part in (1, 3)},
    }


def _middle(values: Sequence[Any]) -> Any:
    """Return the median of numbers, by key if they are tables; of texts, all of them."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, Mapping) for value in known):
        keys = dict.fromkeys(key for value in known for key in value)
        return {key: _number([value.get(key, 0) for value in known], 0.5) for key in keys} or None
    if any(isinstance(value, list | tuple) for value in known):  # nodes that left: of all runs
        return sorted({item for value in known for item in value})
    if any(isinstance(value, str) for value in known):
        return ", ".join(dict.fromkeys(known))
    return _number(values, 0.5)


def _number(values: Sequence[float | None], part: float) -> float | None:
    """Return a quantile of numbers, whole if it is; None if it is not finite."""
    found = quantile([math.inf if value is None else value for value in values], part)
    if not math.isfinite(found):
        return None
    whole = all(isinstance(value, int) for value in values if value is not None) and float(found).is_integer()
    return int(found) if whole else float(found)
