"""The overhead of a gossip round over its neighbourhood exchange: the fabric's layer, and a step of DeLi-CoCo."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.solvers.parts.gossip import Gossip

BARE = "bare persistent Neighbor_allgatherv"
GOAL = 1.0 / 1.1
BUDGET = 10e-6  # seconds that a gossip step may add to the bare exchange
SIZES = (300, 10_000, 1_000_000)  # doubles in a message
CACHED = 100_000  # doubles; larger messages need fewer repetitions


def gossip_rows(node: Node, repeats: int, count: int) -> list[dict[str, Any]]:
    """Return rows of {name, ours, peer, peer_name, ratio, goal}, between the ranks; collective."""
    rows = []
    for d in SIZES:
        times = count if d < CACHED else max(count // 100, 5)
        calls = _raw(node, d), _exchange(node, d), _round(node, d), _step(node, d)
        raw, exchange, mixed, step = np.median(
            [[timed(node, call, times) for call in calls] for _ in range(repeats)], axis=0
        )
        rows += [
            row(f"neighbour exchange, d={d:,}", exchange, raw, BARE, GOAL),
            row(f"gossip round, identity, d={d:,}", mixed, raw, BARE, GOAL),
            row(f"full iteration of deli-coco, d={d:,}", step, raw, BARE, None),
        ]
        if d == SIZES[0]:
            rows.append(
                row("overhead of a round over the exchange", max(mixed - raw, 1e-9), BUDGET, "budget of 10 us", 1.0)
            )
    return rows


def row(name: str, ours: float, peer: float, peer_name: str, goal: float | None) -> dict[str, Any]:
    """Return a row of the benchmark; times are in seconds."""
    ratio = float(peer / ours)
    return {
        "name": name,
        "ours": float(ours),
        "peer": float(peer),
        "peer_name": peer_name,
        "ratio": ratio,
        "goal": goal,
    }


def _raw(node: Node, d: int) -> Callable[[], object]:
    """Return the MPI collective without our layers."""
    assert node.mixing is not None
    mine = node.mixing.row(node.rank)
    links: Any = node.neighbourhood(mine.sources, mine.targets)
    sent, received = np.ones(d), np.empty(d * len(mine.sources))
    counts = [d] * len(mine.sources)
    starts = [d * place for place in range(len(mine.sources))]
    request = links.comm.Neighbor_allgatherv_init(sent, [received, counts, starts, None])

    def exchange() -> None:
        request.Start()
        request.Wait()

    return exchange


def _exchange(node: Node, d: int) -> Callable[[], object]:
    assert node.mixing is not None
    mine = node.mixing.row(node.rank)
    links = node.neighbourhood(mine.sources, mine.targets)
    box = links.outbox(8 * d)
    return lambda: links.exchange(box)


def _round(node: Node, d: int) -> Callable[[], object]:
    """Return a gossip round: encode, exchange, decode, compute the weighted sum."""
    gossip = Gossip(node, Identity(), d)
    x = np.random.default_rng(node.rank).standard_normal(d)
    return lambda: gossip.send(x, 0)


def _step(node: Node, d: int) -> Callable[[], object]:
    """Return the body of DeLi-CoCo's inner loop."""
    gossip = Gossip(node, Identity(), d)
    x = np.random.default_rng(node.rank).standard_normal(d)
    z, s = np.zeros(d), np.zeros(d)

    def step() -> None:
        D, DW = gossip.send(x - z, 0)
        s.__iadd__(DW)
        z.__iadd__(D)
        x.__iadd__(0.5 * (s - z))

    return step


def timed(node: Node, operation: Callable[[], object], count: int) -> float:
    """Return the seconds per operation."""
    for _ in range(max(count // 10, 2)):
        operation()
    node.world.barrier()
    start = time.perf_counter()
    for _ in range(count):
        operation()
    return (time.perf_counter() - start) / count
