"""What is kept of a run, and where: the table [output] of a specification."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from hpcopt.annotations import Positive, Whole, check_types

FINE, COARSE = 32, 4  # "auto": the iterations so far are at least so many intervals
MODELS = 4096  # passes over the data, of as many models, that those many measurements may take: between the two


@dataclass(frozen=True, kw_only=True)
class Output:
    """The output of a run: what is recorded, and where it is written.

    Parameters
    ----------
    folder
        Default: runs/<the specification's name>; without a file, nothing is written.
    record_every
        Interval between records in iterations; 0: the first and the last only. "auto": every iteration up to 64, every
        second one up to 128, every fourth one up to 256, and so on. Where more than 128 nodes have models of their own,
        measuring takes longer, and intervals grow earlier (with 1024 nodes at 8, 16, 32). For asynchronous solvers: in
        steps per node, on average over the nodes; "auto" is 1 there, or more on the wall clock if recording takes long.
    record_seconds
        For asynchronous solvers: interval between records in seconds, instead.
    timeline
        Whether to record when each node computed, waited and exchanged.
    operations
        Whether to count each node's operations, with their seconds, messages and bytes, in a file of the folder.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    folder: str | None = None
    record_every: Whole | Literal["auto"] = "auto"
    record_seconds: Positive | None = None
    timeline: bool = False
    operations: bool = True

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def tells_all(self) -> bool:
        """Whether there are records between the first and the last one."""
        return self.record_every != 0

    def next_measured(self, iteration: int, models: int, *, judged: bool) -> int:
        """Return the next iteration to be measured after `iteration`.

        Parameters
        ----------
        models
            Number of models that a measurement evaluates: one, or that of the nodes with models of their own.
        judged
            Whether a stop rule depends on measurements, which are then made even if they are not recorded.
        """
        every = self.record_every
        if every == "auto":
            intervals = iteration // min(FINE, max(COARSE, MODELS // models))
            every = 1 << max(0, intervals.bit_length() - 1)
        if every == 0:
            return iteration + 1 if judged else sys.maxsize
        return (iteration // every + 1) * every

    @property
    def steps(self) -> int:
        """The interval between the records of an asynchronous solver, in steps per node; 0: no records between."""
        return 1 if self.record_every == "auto" else self.record_every
