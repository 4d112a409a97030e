"""What is kept of a run, and where: the table [output] of a specification."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.annotations import Positive, Whole, check_types


@dataclass(frozen=True, kw_only=True)
class Output:
    """The output of a run: what is recorded, and where it is written.

    Parameters
    ----------
    folder
        Default: runs/<the specification's name>; without a file, nothing is written.
    record_every
        Interval between records in iterations; 0: the first and the last only. For asynchronous solvers: in steps per
        node, on average over the nodes; on the wall clock less often if recording would take much time.
    record_seconds
        For asynchronous solvers: interval between records in seconds, instead.
    timeline
        Whether to record when each node computed, waited and exchanged.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    folder: str | None = None
    record_every: Whole = 1
    record_seconds: Positive | None = None
    timeline: bool = False

    def __post_init__(self) -> None:
        check_types(self)
