"""The speed of messages between ranks: collectives and exchanges with neighbours, as solvers call them, by size."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.fabric.calibration import Curve, Links
from hpcopt.fabric.interface import Cluster, Group, Node
from hpcopt.topology import TOPOLOGIES, build

SIZES = {False: (8, 256, 2048, 16_384, 131_072, 1_048_576, 8_388_608), True: (8, 1024, 16_384, 262_144)}
"""Bytes of a member's part, by whether the measurement is to be quick."""
LONGEST = 0.1  # seconds: a larger message is not sent
BUDGET = 0.1  # seconds for the repeats of one call
FEWEST, MOST = 5, 100
WARM = 3

Call = Callable[[], object]


class Timed(NamedTuple):
    """A call's median seconds, and half the distance between its quartiles relative to that."""

    seconds: float
    spread: float


def measured(cluster: Cluster, *, quick: bool) -> tuple[Links | None, Links | None]:
    """Return the links within a host and those between hosts, None where there are none; collective.

    All hosts measure their inner links at the same time.
    """
    hosts = cluster.hosts()
    if len(hosts) == 1:
        return None, None
    several = len(set(hosts)) > 1
    inner = [[rank for rank, host in enumerate(hosts) if host == here] for here in sorted(set(hosts))]

    def program(node: Node) -> tuple[Links | None, Links | None]:
        between = _links(node, range(len(hosts)), SIZES[quick]) if several else None
        within = None
        if max(map(len, inner)) > 1:
            within = _links(node, inner[hosts[node.rank]], SIZES[quick])
        return within, between

    return cluster.run(program)[0]


def _links(node: Node, ranks: Sequence[int], sizes: Sequence[int]) -> Links | None:
    """Return the links between `ranks`, this node among them; all nodes call this, with their own ranks."""
    world = node.world
    group = node.group(ranks) if len(ranks) < node.size else world
    spreads: list[float] = []

    def curve(make: Callable[[int], Call]) -> Curve:
        knots = []
        for size in sizes:
            seconds, spread = _timed(world, make(size))
            spreads.append(spread)
            knots.append((float(size), seconds))
            if seconds > LONGEST:
                break
        return tuple(knots)

    graph = build(TOPOLOGIES["ring"](), len(ranks))
    mine = graph.row(group.rank)
    of = list(ranks)
    sources, targets = [of[place] for place in mine.sources], [of[place] for place in mine.targets]
    links = node.neighbourhood(sources, targets)

    def exchange(size: int) -> Call:
        box = links.outbox(size)
        return lambda: links.exchange(box)

    exchanged = curve(exchange)
    neighbours = max(1, len(targets))
    (_, least), *_, (a, low), (b, high) = exchanged if len(exchanged) > 2 else (exchanged[0], *exchanged)
    return Links(
        ranks=len(ranks),
        latency=least,
        bandwidth=(b - a) / max((high - low) / neighbours, 1e-12),
        sum=curve(partial(_sum, group)),
        broadcast=curve(partial(_of, group.broadcast)),
        broadcast_varying=curve(partial(_of, group.broadcast_varying)),
        reduce=curve(partial(_of, group.reduce)),
        gather=curve(partial(_of, group.gather)),
        gather_varying=curve(partial(_of, group.gather_varying)),
        allgather=curve(partial(_of, group.allgather)),
        alltoall=curve(partial(_alltoall, group)),
        barrier=_timed(world, group.barrier).seconds,
        neighbours=neighbours,
        exchange=exchanged,
        residual=max(spreads),
    )


def _of(collective: Callable[[Vector], object], size: int) -> Call:
    x = np.ones(size // 8)
    return lambda: collective(x)


def _alltoall(group: Group, size: int) -> Call:
    parts = [np.ones(size // 8) for _ in range(group.size)]
    return lambda: group.alltoall(parts)


def _sum(group: Group, size: int) -> Call:
    x, out = np.ones(size // 8), np.empty(size // 8)
    return lambda: group.sum(x, out=out)


def _timed(world: Group, call: Call) -> Timed:
    """Return the seconds of a call that all ranks make together: the median over repeats of the slowest rank's."""
    seconds = _once(world, call)
    for _ in range(WARM):
        seconds = min(seconds, _once(world, call))
    slowest = float(world.max(np.array([seconds]))[0])
    repeats = int(np.clip(BUDGET / max(slowest, 1e-6), FEWEST, MOST))
    times = world.max(np.array([_once(world, call) for _ in range(repeats)]))
    low, middle, high = np.quantile(times, (0.25, 0.5, 0.75)).tolist()
    return Timed(middle, (high - low) / (2.0 * middle))


def _once(world: Group, call: Call) -> float:
    world.barrier()
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun
