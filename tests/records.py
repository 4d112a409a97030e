"""Records made for tests."""

from __future__ import annotations

from typing import Any

from hpcopt.results.record import Record


def record(**columns: Any) -> Record:
    """Return a record with these columns and default values in the others."""
    counts = {"round": 0, "iteration": 0, "seconds": 0.0, "bytes": 0, "messages": 0, "work": 0.0}
    return Record(**{**counts, "clock": "virtual", "objective": 1.0, "grad_norm": 1.0, **columns})
