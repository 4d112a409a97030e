"""Timing of calls alternately, so that disturbances affect all of them alike; the results are ratios.

Seconds vary between machines and over time; the ratio of two alternating calls is reproducible.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hpcopt.kernels.cache import compile_safely

Call = Callable[[], object]

SHORTEST = 2e-3  # least seconds of a measurement; short calls are repeated


@dataclass(frozen=True)
class Peer:
    """Another implementation of the same work, and the goal for the ratio (its time / ours); None if there is none."""

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
    """Time our call and its peers alternately, case by case, on all ranks simultaneously.

    Parameters
    ----------
    barrier
        Waits for all ranks; they must start each call together, as they share the memory bandwidth.
    cases
        Each case is measured and released before the next one is requested, so that it may own its data.
    rounds
        Number of measurements of each call.

    Returns
    -------
    list of dict
        `name`; `ours` and `peer`: medians over the rounds on this rank, seconds; `peer_name`; `ratio` = peer / ours;
        `goal`: the desired ratio, or None.
    """
    rows = []
    for case in cases:
        ours, *others = _in_turns(barrier, [case.ours, *(peer.call for peer in case.peers)], rounds)
        for peer, seconds in zip(case.peers, others, strict=True):
            row = {"name": case.name, "ours": ours, "peer": seconds, "peer_name": peer.name}
            rows.append({**row, "ratio": seconds / ours, "goal": peer.goal})
    return rows


def _in_turns(barrier: Callable[[], None], calls: list[Call], rounds: int) -> list[float]:
    """Return each call's median time in seconds; every round makes each call once."""
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
