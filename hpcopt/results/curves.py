"""A curve: the trace of one run, or those of its repetitions with other seeds, under one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    solver, nodes
        Curves of one solver on different numbers of nodes show its speed-up.
    """

    label: str
    traces: Sequence[Sequence[Record]]
    solver: str = ""
    nodes: int = 1

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


def ideal_speed_ups(curves: Sequence[Curve]) -> list[Curve | None]:
    """Return what each curve would be if n times the nodes were n times as fast as the fewest of its solver.

    None for those on the fewest nodes.
    """
    fewest = {curve.solver: curve for curve in sorted(curves, key=lambda curve: -curve.nodes)}
    return [_faster(fewest[curve.solver], curve.nodes) for curve in curves]


def _faster(curve: Curve, nodes: int) -> Curve | None:
    if nodes == curve.nodes:
        return None
    ratio = curve.nodes / nodes
    traces = [[replace(record, seconds=ratio * record.seconds) for record in trace] for trace in curve.traces]
    return replace(curve, traces=traces, nodes=nodes)
