"""The injected faults of a finished run that cannot have happened in it."""

from __future__ import annotations

from collections.abc import Iterable

from hpcopt.fabric.faults import Fault
from hpcopt.results.terminal import warn


def tell_missed(faults: Iterable[Fault], rounds: int) -> None:
    """Name the faults that a run has ended before, so that nobody takes it for one that has survived them.

    Parameters
    ----------
    rounds
        Rounds of the node with the most.
    """
    late = [fault.text for fault in faults if fault.phase or fault.round > rounds]
    if late:
        warn(f"inject: did not happen, as the run has ended after {rounds} rounds: {'; '.join(late)}")
