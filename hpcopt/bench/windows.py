"""The overhead of one-sided operations over raw mpi4py calls, and the time of a transition of the board."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hpcopt.bench.gossip import row, timed
from hpcopt.fabric.interface import Node
from hpcopt.fabric.window import Window
from hpcopt.solvers.parts.pathsearch import ARRIVE, Pathsearch

SIZES = (1, 1_250, 12_500, 100_000)  # doubles: from latency-bound to bandwidth-bound
COMPARED = 10_000  # bytes: from this size on, the ratio has a goal
LARGE = 100_000  # bytes: below this size, the overhead has a goal
GOAL = 1.0 / 1.15
BUDGET = 1e-6  # seconds that the layer may add to an operation
TRANSITION = 50e-6  # seconds that an arrival may take
WORKERS, STRIDES = 128, (50, 52, 54, 57)  # a graph of degree 8 without edges among the first fifty nodes

Pair = tuple[str, Callable[[], object], Callable[[], object]]  # name, ours, the raw calls


def window_rows(node: Node, repeats: int, count: int) -> list[dict[str, Any]]:
    """Return rows of {name, ours, peer, peer_name, ratio, goal} for operations on the next rank; collective.

    No rows for a single rank. Two-sided windows have no raw calls to compare with.
    """
    if node.size == 1:
        return []
    rows = []
    window = node.window(max(SIZES))
    if hasattr(window, "win"):
        right = (node.rank + 1) % node.size
        for d in SIZES:
            small = 8 * d < LARGE
            times = count if small else max(count // 20, 5)
            for name, ours, raw in _vectors(window, right, d):
                goal = GOAL if 8 * d >= COMPARED else None
                rows += _beside(node, f"window {name}, {8 * d:,} bytes", ours, raw, repeats, times, goal, small=small)
        for name, ours, raw in _words(window, right):
            rows += _beside(node, f"window {name}", ours, raw, repeats, count, small=True)
    arrival = float(np.median([_arrival(node, count // 10) for _ in range(repeats)]))
    rows.append(
        row(f"arrival on the board, {WORKERS} workers of degree 8", arrival, TRANSITION, "budget of 50 us", 1.0)
    )
    return rows


def _beside(
    node: Node,
    name: str,
    ours: Callable[[], object],
    raw: Callable[[], object],
    repeats: int,
    count: int,
    goal: float | None = None,
    *,
    small: bool,
) -> list[dict[str, Any]]:
    pairs = np.array([(timed(node, ours, count), timed(node, raw, count)) for _ in range(repeats)])
    mine, peer = np.median(pairs, axis=0)
    rows = [row(name, mine, peer, "raw mpi4py", goal)]
    if small:
        added = float(np.median(pairs[:, 0] - pairs[:, 1]))
        rows.append(row("the same, overhead", max(added, 1e-9), BUDGET, "budget of 1 us", 1.0))
    return rows


def _vectors(window: Window, target: int, d: int) -> list[Pair]:
    x = np.ones(d)
    win: Any = window.win  # type: ignore[attr-defined]
    flushed, flush = window.flush, win.Flush
    return [
        ("put", lambda: (window.put(x, target), flushed(target)), lambda: (win.Put(x, target), flush(target))),
        ("get", lambda: (window.get(target, 0, x), flushed(target)), lambda: (win.Get(x, target), flush(target))),
        (
            "accumulate",
            lambda: (window.accumulate(x, target), flushed(target)),
            lambda: (win.Accumulate(x, target), flush(target)),
        ),
    ]


def _words(window: Window, target: int) -> list[Pair]:
    win: Any = window.win  # type: ignore[attr-defined]
    value, compared, before = (np.zeros(1, dtype=np.int64) for _ in range(3))

    def fetch() -> None:
        win.Fetch_and_op(value, before, target)
        win.Flush(target)

    def swap() -> None:
        win.Compare_and_swap(value, compared, before, target)
        win.Flush(target)

    return [
        ("fetch_and_op", lambda: window.fetch_and_op(0, target, 0), fetch),
        ("compare_and_swap", lambda: window.compare_and_swap(0, 0, target, 0), swap),
    ]


def _arrival(node: Node, count: int) -> float:
    """Return the seconds of an arrival that closes nothing, on the slowest rank; ranks take turns."""
    pairs = np.array([(j, (j + stride) % WORKERS) for j in range(WORKERS) for stride in STRIDES])
    board = node.board(Pathsearch(WORKERS, pairs))
    times = []
    for turn in range(count):
        node.world.barrier()
        if turn % node.size == node.rank:
            begun = time.perf_counter()
            board.post(ARRIVE, turn)
            times.append(time.perf_counter() - begun)
    return float(node.world.max(np.median(times, keepdims=True))[0])
