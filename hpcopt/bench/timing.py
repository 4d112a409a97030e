"""Timing of calls that take turns, so that what disturbs one disturbs the others: the ratios are what is told.

Seconds differ from machine to machine and from minute to minute; a ratio of two calls that took turns does not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hpcopt.kernels.cache import compile_safely

Call = Callable[[], object]

SHORTEST = 2e-3  # seconds a measurement lasts at least: short calls are repeated


@dataclass(frozen=True)
class Peer:
    """Who else does the same work, and the ratio (its time by ours) aimed at; None where none is."""

    name: str
    call: Call
    goal: float | None = None


@dataclass(frozen=True)
class Case:
    """A call of ours and its peers."""

    name: str
    ours: Call
    peers: list[Peer]


def compared(barrier: Callable[[], None], cases: Iterable[Case], rounds: int) -> list[dict[str, Any]]:
    """Time our call and its peers in turns, case after case, on all ranks at the same time.

    Parameters
    ----------
    barrier
        Waits for all ranks; they must start each call together, as they share the memory's bandwidth.
    cases
        Each is taken, measured and dropped before the next is asked for, so that it may own its data.
    rounds
        How often each call is measured.

    Returns
    -------
    list of dict
        `name`; `ours` and `peer`: medians over the rounds on this rank, seconds; `peer_name`; `ratio` = peer / ours;
        `goal`: the ratio aimed at, or None.
    """
    rows = []
    for case in cases:
        ours, *others = _in_turns(barrier, [case.ours, *(peer.call for peer in case.peers)], rounds)
        for peer, seconds in zip(case.peers, others, strict=True):
            row = {"name": case.name, "ours": ours, "peer": seconds, "peer_name": peer.name}
            rows.append({**row, "ratio": seconds / ours, "goal": peer.goal})
    return rows


def _in_turns(barrier: Callable[[], None], calls: list[Call], rounds: int) -> list[float]:
    """Return each call's median time, seconds; every round makes each call once."""
    repeats = []
    for call in calls:
        compile_safely(call)
        barrier()
        start = time.perf_counter()
        call()
        repeats.append(1 + int(SHORTEST / (time.perf_counter() - start)))
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, repeat, measured in zip(calls, repeats, times, strict=True):
            barrier()
            start = time.perf_counter()
            for _ in range(repeat):
                call()
            measured.append((time.perf_counter() - start) / repeat)
    return [statistics.median(measured) for measured in times]
