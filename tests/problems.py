"""The problems of the conformance suite, under the name that tests know them by."""

from typing import Any

from hpcopt.conformance.problems import PROBLEMS, Spread, equal, logistic, ridge
from hpcopt.conformance.solving import Solved, solve
from hpcopt.results.record import Record

__all__ = ["PROBLEMS", "Solved", "Spread", "equal", "logistic", "record", "ridge", "solve"]


def record(**columns: Any) -> Record:
    """Return a record with these columns, and nothing of note in the others."""
    counts = {"round": 0, "iteration": 0, "seconds": 0.0, "bytes": 0, "messages": 0, "work": 0.0}
    return Record(**{**counts, "clock": "virtual", "objective": 1.0, "grad_norm": 1.0, **columns})
