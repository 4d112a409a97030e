"""Heterogeneous clusters: which nodes and links are slow, at which step and by how much; pauses and departures.

All random draws depend only on (seed, node, step) or (seed, pair of nodes). So a node is slow at the same steps on
every cluster and with every solver, and runs of different solvers are comparable.

    factor of a step  =  node_slowdown (slow nodes)  x  slowdown (stragglers of that step)  x  spread (mean 1)

A step is one iteration of the solver. Before the first step, only slow nodes take effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal

from hpcopt.annotations import AtLeastZero, Factor, Fraction, Whole, check_types, fill
from hpcopt.checks import at_least
from hpcopt.errors import InputError
from hpcopt.fabric.streams import Draw, key

Distribution = Literal["constant", "uniform", "exponential", "lognormal", "pareto"]

SPREADS: dict[str, tuple[float, float]] = {  # distribution -> (default spread, largest spread)
    "uniform": (0.1, 1.0),
    "exponential": (1.0, 1.0),
    "lognormal": (0.5, 4.0),
    "pareto": (0.5, 0.95),
}

_STRAGGLES, _SPREADS = range(2)  # purposes of the draws of a step
_NORMAL = NormalDist()
_NAMED = 8  # most nodes or links that are listed individually


@dataclass(frozen=True)
class Pause:
    """The first step of `node` at or after the time `at` is delayed by `seconds`.

    Parameters
    ----------
    node
        Its rank.
    at, seconds
        On the node's own clock.
    """

    node: int
    at: float
    seconds: float

    def __post_init__(self) -> None:
        at_least(0, node=self.node, at=self.at, seconds=self.seconds)


@dataclass(frozen=True)
class Departure:
    """`node` leaves permanently before its first step at or after the time `at`.

    Parameters
    ----------
    node
        Its rank.
    at
        Seconds on the node's own clock.
    """

    node: int
    at: float

    def __post_init__(self) -> None:
        at_least(0, node=self.node, at=self.at)


@dataclass(frozen=True, kw_only=True)
class Heterogeneity:
    """Heterogeneity of the nodes and links of a cluster, the table [cluster.stragglers]; by default none.

    Parameters
    ----------
    seed
        Seed of all random draws in this table; in a specification the default is the run's seed.
    probability, slowdown
        The probability that a node is a straggler in a step, independently for each step; the step's work then takes
        `slowdown` times as long.
    slow_nodes, node_slowdown
        Ranks of the nodes that are permanently slow, or their fraction of all nodes (drawn by seed; at least one
        unless it is 0), and their factor; default `slowdown`.
    distribution, spread
        The distribution of the time of a step's work, with u uniform in (0, 1), z standard normal and s the spread:
        "uniform" 1 + s (2 u - 1), "exponential" 1 - s - s log(u), "lognormal" exp(s z - s^2/2), "pareto" (1 - s) u^-s,
        with tail index 1/s (infinite variance for s >= 1/2). The default spreads are 0.1, 1, 0.5, 0.5, the largest
        ones 1, 1, 4, 0.95.
    slow_links, link_slowdown
        The probability that a pair of nodes has a slow link, and its factor: bytes take `link_slowdown` times as long.
    pauses
        Tables { node, at, seconds }: the first step of `node` at or after the time `at` is delayed by `seconds`.
    departures
        Tables { node, at }: `node` leaves permanently before its first step at or after the time `at`.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, or a spread that no distribution has.
    """

    seed: Whole = 0
    probability: Fraction = 0.0
    slowdown: Factor = 10.0
    slow_nodes: Fraction | tuple[Whole, ...] = 0.0
    node_slowdown: Factor | None = None
    distribution: Distribution = "constant"
    spread: AtLeastZero | None = None
    slow_links: Fraction = 0.0
    link_slowdown: Factor = 10.0
    pauses: tuple[Pause, ...] = ()
    departures: tuple[Departure, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        if self.node_slowdown is None:
            fill(self, node_slowdown=self.slowdown)
        if self.distribution == "constant":
            if self.spread is not None:
                names = ", ".join(f'"{name}"' for name in SPREADS)
                raise InputError(f"spread: requires distribution = {names}")
            return
        usual, most = SPREADS[self.distribution]
        if self.spread is None:
            fill(self, spread=usual)
        elif self.spread > most:
            raise InputError(f'spread: expected at most {most:g} with "{self.distribution}", got {self.spread:g}')

    def stranger(self, size: int) -> str | None:
        """Return an error message for the first configured node outside 0 .. size - 1; None if there is none."""
        slow = self.slow_nodes if isinstance(self.slow_nodes, tuple) else ()
        named = {
            "slow_nodes": slow,
            "pauses": [pause.node for pause in self.pauses],
            "departures": [departure.node for departure in self.departures],
        }
        for name, nodes in named.items():
            for node in nodes:
                if node >= size:
                    return f"{name}: no node {node}: nodes are numbered from 0 to {size - 1}"
        return None

    def pace(self, rank: int, size: int) -> Pace:
        """Return the pace of node `rank` of `size`, before its first step."""
        return Pace(self, rank, is_slow=rank in self.slow_ranks(size))

    def slow_ranks(self, size: int) -> tuple[int, ...]:
        """Return the ranks of the permanently slow nodes of a cluster of `size` nodes."""
        if isinstance(self.slow_nodes, tuple):
            return self.slow_nodes
        return _drawn_nodes(self.seed, self.slow_nodes, size)

    def words(self, size: int) -> str:
        """Describe the heterogeneity of a cluster of `size` nodes and the nodes and links concerned; empty if none."""
        slow = self.slow_ranks(size)
        told = (
            (slow, f"slow {_listed(slow, 'node')} (x {self.node_slowdown or self.slowdown:g})"),
            (self.probability, f"stragglers with probability {self.probability:g} (x {self.slowdown:g})"),
            (self.distribution != "constant", f"step times {self.distribution} ({self.spread or 0.0:g})"),
            (self.slow_links, f"slow {self._links(size)} (x {self.link_slowdown:g})"),
            (self.pauses, f"pauses of {_listed(sorted({p.node for p in self.pauses}), 'node')}"),
            (self.departures, f"departures of {_listed(sorted({d.node for d in self.departures}), 'node')}"),
        )
        return "; ".join(words for holds, words in told if holds)

    def _links(self, size: int) -> str:
        """Describe the slow links, individually on small clusters."""
        if size > _NAMED:
            return f"links, each with probability {self.slow_links:g}"
        pairs = [(i, j) for i in range(size) for j in range(i + 1, size) if self.link_factor(i, j) > 1.0]
        return _listed([f"{i}-{j}" for i, j in pairs], "link") if pairs else "links: none drawn"

    def link_factor(self, source: int, target: int) -> float:
        """Return the factor on the time per byte between two nodes; the same in both directions."""
        low, high = min(source, target), max(source, target)
        return self.link_slowdown if _uniform(key(self.seed, low, Draw.LINKS, high)) < self.slow_links else 1.0


EVEN = Heterogeneity()
"""No heterogeneity."""


class Pace:
    """The speed of one node at its current step.

    Parameters
    ----------
    settings
        The cluster's heterogeneity.
    rank
        The node.
    is_slow
        Whether the node is permanently slow.

    Attributes
    ----------
    factor
        The factor on the time of work at the current step, relative to a node without heterogeneity.
    step
        Number of steps begun.
    """

    __slots__ = ("_always", "_leaves", "_pauses", "_rank", "_settings", "_slowed", "_varies", "factor", "step")

    def __init__(self, settings: Heterogeneity, rank: int, *, is_slow: bool) -> None:
        self._settings = settings
        self._rank = rank
        self._always = (settings.node_slowdown or settings.slowdown) if is_slow else 1.0
        self._varies = settings.probability > 0.0 or settings.distribution != "constant"
        self._pauses = sorted((p.at, p.seconds) for p in settings.pauses if p.node == rank)
        self._leaves = min((d.at for d in settings.departures if d.node == rank), default=math.inf)
        self._slowed = 1.0  # by injected faults
        self.factor = self._always
        self.step = 0

    def advance(self) -> None:
        """Begin the next step."""
        if self._varies:
            self.factor = self._always * self._slowed * self._drawn(self.step)
        self.step += 1

    def slow_down(self, factor: float) -> None:
        """Let all work from now on take `factor` times as long, as an injected fault."""
        self._slowed *= factor
        self.factor *= factor

    def leave(self) -> None:
        """Let the node leave before its next step, as an injected fault."""
        self._leaves = -math.inf

    def pause(self, now: float) -> float:
        """Return the seconds for which the node pauses at clock time `now`, and mark the pauses as done."""
        seconds = 0.0
        while self._pauses and self._pauses[0][0] <= now:
            seconds += self._pauses.pop(0)[1]
        return seconds

    def left(self, now: float) -> bool:
        """Return whether the node has left the cluster at clock time `now`."""
        return now >= self._leaves

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data: step, factor, and the remaining pauses."""
        factor = self.factor / self._slowed  # a run that resumes has its own faults
        return {"step": self.step, "factor": factor, "pauses": [list(pause) for pause in self._pauses]}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restore the state that `snapshot` returned, under the same settings."""
        self.step, self.factor = int(snapshot["step"]), float(snapshot["factor"]) * self._slowed
        self._pauses = [(float(at), float(seconds)) for at, seconds in snapshot["pauses"]]

    def _drawn(self, step: int) -> float:
        settings = self._settings
        factor = 1.0
        if settings.probability > 0.0 and self._uniform(step, _STRAGGLES) < settings.probability:
            factor = settings.slowdown
        if settings.distribution != "constant":
            factor *= _spread(settings.distribution, settings.spread or 0.0, self._uniform(step, _SPREADS))
        return factor

    def _uniform(self, step: int, what: int) -> float:
        return _uniform(key(self._settings.seed, self._rank, Draw.PACES, step, what))


@lru_cache(maxsize=4)  # the same for every node
def _drawn_nodes(seed: int, fraction: float, size: int) -> tuple[int, ...]:
    if fraction == 0.0:
        return ()
    drawn = sorted(range(size), key=lambda rank: key(seed, rank, Draw.NODES))
    return tuple(sorted(drawn[: max(1, round(fraction * size))]))


def _listed(names: Sequence[object], noun: str) -> str:
    """List a few names; of many, give only their number."""
    if len(names) > _NAMED:
        return f"{noun}s: {len(names)}"
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(map(str, names))}"


def _uniform(bits: int) -> float:
    """Return a number in the open interval (0, 1) made from 53 of 64 bits."""
    return ((bits >> 11) + 0.5) * 2.0**-53


def _spread(distribution: Distribution, s: float, u: float) -> float:
    """Map the uniform number `u` to a factor with mean one."""
    if distribution == "uniform":
        return 1.0 + s * (2.0 * u - 1.0)
    if distribution == "exponential":
        return 1.0 - s - s * math.log(u)
    if distribution == "lognormal":
        return math.exp(s * _NORMAL.inv_cdf(u) - 0.5 * s * s)
    return (1.0 - s) * math.pow(u, -s)
