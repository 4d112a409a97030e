"""How often a run is saved, so that it can be resumed: the table [checkpoint] of a specification."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.annotations import Count, Positive, check_types


@dataclass(frozen=True, kw_only=True)
class CheckpointTable:
    """The checkpoints of a run, from which `hpcopt run --resume` goes on.

    Without `every` and `seconds`, none is written but on SIGUSR1 and SIGTERM. With one of them, the last checkpoint
    also stays when the run ends, so that it can be resumed with larger budgets.

    Parameters
    ----------
    every
        Interval between checkpoints in iterations; of an asynchronous solver, in steps of the fastest node.
    seconds
        Interval in seconds of real time.
    keep
        Number of checkpoints that are kept; older ones are removed once the next one is complete.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    every: Count | None = None
    seconds: Positive | None = None
    keep: Count = 1

    def __post_init__(self) -> None:
        check_types(self)

    @property
    def periodic(self) -> bool:
        """Whether checkpoints are written without being asked for by a signal."""
        return self.every is not None or self.seconds is not None
