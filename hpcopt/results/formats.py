"""Numbers as tables show them."""

from __future__ import annotations

import math

_MEGABYTE = 1e6


def megabytes(size: float) -> str:
    """Return a number of bytes in megabytes."""
    return number(size / _MEGABYTE, ",.1f" if size >= 100 * _MEGABYTE else ".3g")


def number(value: float | None, form: str) -> str:
    """Return `value` in the format `form`, with a decimal if it is not whole; empty for None."""
    if value is None:
        return ""
    if form.endswith("d") and not isinstance(value, int):
        form = form.replace("d", ".1f")  # a median
    return format(value, form) if math.isfinite(value) else "NaN"
