"""What is kept of a run, and where: the table [output] of a specification."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.annotations import Positive, Whole, check_types


@dataclass(frozen=True, kw_only=True)
class Output:
    """What is kept of a run, and where.

    Parameters
    ----------
    folder
        Default: runs/<the specification's name>; without a file, nothing is written.
    record_every
        Record each so-many-th iteration; 0: the first and the last only. Of asynchronous solvers: each time all nodes
        together have made so many steps for every one of them; on the wall clock, as often as takes little time.
    record_seconds
        Of asynchronous solvers: record each time so many seconds have passed, instead.
    timeline
        Whether to keep who computed, waited and exchanged when.

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
