"""A curve: the trace of one run, or those of its repetitions with other seeds, under one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hpcopt.results.record import Record

_FEW = 3  # up to this many records no line is drawn if iterations lie between them, as it would suggest measurements


@dataclass(frozen=True)
class Curve:
    """One entry of a legend, and its line in every panel.

    Parameters
    ----------
    label
        Its name in the legend.
    traces
        The records of one run; or those of each of its repetitions, whose median is then the line, in a band between
        their quartiles. A repetition that has ended keeps its last value.
    """

    label: str
    traces: Sequence[Sequence[Record]]

    @property
    def records(self) -> list[Record]:
        """All records."""
        return [record for trace in self.traces for record in trace]

    @property
    def firsts(self) -> list[Record]:
        """The first record of each trace that has one."""
        return [trace[0] for trace in self.traces if trace]

    @property
    def lasts(self) -> list[Record]:
        """The last record of each trace that has one."""
        return [trace[-1] for trace in self.traces if trace]

    @property
    def is_sparse(self) -> bool:
        """Whether its records are few, and a line between them would suggest others."""
        return all(
            len(trace) <= _FEW and any(after.iteration - before.iteration > 1 for before, after in pairwise(trace))
            for trace in self.traces
        )
