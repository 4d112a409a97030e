"""The table [watchdog]: what happens when ranks make no progress (`hpcopt.fabric.wall.watching`)."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.annotations import AtLeastZero, check_types


@dataclass(frozen=True, kw_only=True)
class Watchdog:
    """What happens when ranks make no progress; virtual nodes need no watchdog.

    Parameters
    ----------
    after
        Seconds without progress, neither an operation nor a piece of work, until the ranks concerned are named; 0:
        never.
    abort
        Whether the job then ends, if no rank of a host makes progress.
    matching
        Whether the members of a group compare their operations before each: those that enter different ones are named
        instead of hanging. It takes another operation each time; `--debug` sets it.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range.
    """

    after: AtLeastZero = 300.0
    abort: bool = False
    matching: bool = False

    def __post_init__(self) -> None:
        check_types(self)


UNWATCHED = Watchdog(after=0.0)
"""No watchdog."""
