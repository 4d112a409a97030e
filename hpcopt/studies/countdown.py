"""The progress of a comparison: how many of its runs have ended, and how much time the others will take."""

from __future__ import annotations

import time

from hpcopt.runs.finished import Run

_MINUTE, _HOUR = 60.0, 3600.0
_SOON = 100  # runs after each of which tables are written; later after every tenth


class Countdown:
    """Counts the runs of a comparison.

    Parameters
    ----------
    total
        The number of all runs.
    kept
        How many of them had ended before.
    """

    def __init__(self, total: int, kept: int = 0) -> None:
        self._total = total
        self._kept = kept
        self._ended = kept
        self._began = time.monotonic()

    def told(self, run: Run) -> str:
        """Return a line about a run that has ended: which one it was, how it ended, and the time left."""
        left = self._left()
        more = f"; about {left} left" if left else ""
        return f"run {self._ended} of {self._total}: {run.label}: {run.status.value}{more}"

    def count(self) -> bool:
        """Count a run that has ended; return whether it is time to write tables."""
        self._ended += 1
        return self._ended <= _SOON or self._ended % 10 == 0 or self._ended == self._total

    def _left(self) -> str:
        """Return the estimated time of the remaining runs, from the mean so far; empty if there are none."""
        rest = self._total - self._ended
        seconds = rest * (time.monotonic() - self._began) / (self._ended - self._kept)
        return in_words(seconds) if rest else ""


def in_words(seconds: float) -> str:
    """Return a duration in a suitable unit, to at most two digits below a hundred."""
    if seconds < 2 * _MINUTE:
        return f"{max(1.0, seconds):.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h"
