"""The base of the solvers of hub networks: local steps in time slots, then averages in sub-networks and over hubs."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from operator import mul
from typing import Any, ClassVar, Literal, Self

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of, within
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.fabric.place import Place
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State
from hpcopt.solvers.needs import Condition, Needs, Objection, Setting
from hpcopt.solvers.parts.hub_averaging import HubAveraging
from hpcopt.solvers.parts.hub_mixing import HubMean, HubMixing, OuterStep
from hpcopt.solvers.parts.step_size import Schedule
from hpcopt.topology.hubs import HubNetwork

_NONE = np.zeros(0)
_SPAN = 1e12  # between weights; the hub matrix holds H b = b to this relative precision


@dataclass
class MultilevelState(State):
    """A node's model `w`, what its hub keeps if it is one, and counters."""

    COMMON: ClassVar[tuple[str, ...]] = ("rounds", "slots", "reduced")

    rounds: int = 0
    slots: int = 0  # slots that the rounds so far had; where workers are waited for, the steps
    reduced: int = 0  # doubles reduced over all nodes to find step sizes
    schedule: Schedule | None = None
    origin: Vector = field(default_factory=_NONE.copy)  # (d,) outer optimiser: where the hub's last outer step led
    velocity: Vector = field(default_factory=_NONE.copy)  # (d,) its momentum
    copy: Vector = field(default_factory=_NONE.copy)  # (d,) compressed hub links: the hub's public copy
    surroundings: Vector = field(default_factory=_NONE.copy)  # (d,) and the mixed copies of its neighbours
    late: Vector = field(default_factory=_NONE.copy)  # (d,) overlap: what the hubs' last exchange adds to the next mean


def _placement(solver: MultilevelSolver, setting: Setting) -> Objection | None:
    hubs = setting.hubs
    if not solver.overlap or hubs is None or hubs.placement == "dedicated":
        return None
    what = 'overlap requires placement = "dedicated": a hub that is a worker, too, cannot exchange while it computes'
    return Objection("cluster.hubs.placement", what, can_be_forced=False)


def _levels(solver: MultilevelSolver, setting: Setting) -> Objection | None:
    hubs, periods = setting.hubs, solver.hub_period
    if hubs is None or isinstance(periods, int) or len(periods) == len(hubs.levels):
        return None
    levels = f"{len(hubs.levels)} level{'s' * (len(hubs.levels) > 1)}"
    what = f"hub_period: expected a number, or one for each of the {levels} above the workers; got {len(periods)}"
    return Objection("solver.hub_period", what, can_be_forced=False)


def _weighted(solver: MultilevelSolver, setting: Setting) -> Objection | None:
    hubs, weights = setting.hubs, solver.weights
    if hubs is None or isinstance(weights, str) or len(weights) == len(hubs.workers):
        return None
    what = f"weights: expected one for each of the {len(hubs.workers)} workers, got {len(weights)}"
    return Objection("solver.weights", what, can_be_forced=False)


def _pace(solver: MultilevelSolver, setting: Setting) -> Objection | None:
    if not (solver.deadline and setting.rates):
        return None
    what = "until a deadline, workers make as many steps as fit, whatever their operating rates; give one of the two"
    return Objection("cluster.rates", what, can_be_forced=False)


@dataclass(frozen=True, kw_only=True)
class MultilevelSolver(Solver[MultilevelState]):
    """Base of the solvers of hub networks; `local_work` is what a worker does between two averages.

    Parameters
    ----------
    local_steps
        tau: time slots between two averages of a sub-network.
    hub_period
        q: the hubs mix after every q-th average of the sub-networks. With more levels, q averages on one level precede
        one on the next; or a list with one number per level above the workers.
    weights
        w_i of each worker in all averages: "rows" (n_i), "equal", or a list with one number per worker.
    deadline
        Duration of a round in seconds, in which each worker makes as many steps as fit; 0: a round has tau slots
        instead.
    post_local
        Number of rounds at the start that have one step each and average over all levels.
    compressor, gamma
        The compressor of the messages between hubs, and the hubs' consensus step size; "auto": the compressor's
        contraction.
    outer_step, outer_momentum
        Learning rate and Nesterov momentum that the hubs apply to their change since the last mixing.
    overlap
        Whether the workers continue while the hubs exchange; the result enters the next average. Requires dedicated
        hubs.
    """

    needs = Needs(
        models="own",
        topology="hubs",
        compressor="contractive",
        rates=True,
        rowless=True,
        also=(
            Condition("dedicated hubs if `overlap`", _placement),
            Condition("one period per level", _levels),
            Condition("one weight per worker", _weighted),
            Condition("no operating rates if `deadline`", _pace),
        ),
    )
    randomised = True
    over_graph: ClassVar[bool] = True
    """Whether the top level mixes on its graph, or else takes the mean."""
    waits: ClassVar[bool] = False
    """Whether a round lasts until every worker has made `local_steps` steps."""

    local_steps: int = 8
    hub_period: int | tuple[int, ...] = 4
    weights: Literal["rows", "equal"] | tuple[float, ...] = "rows"
    deadline: float = 0.0
    post_local: int = 0
    compressor: Compressor = Identity()
    gamma: float | Literal["auto"] = "auto"
    outer_step: float = 1.0
    outer_momentum: float = 0.0
    overlap: bool = False

    def __post_init__(self) -> None:
        at_least(1, local_steps=self.local_steps)
        at_least(0, post_local=self.post_local, deadline=self.deadline)
        periods = (self.hub_period,) if isinstance(self.hub_period, int) else self.hub_period
        if not periods or min(periods) < 1:
            raise InputError(f"hub_period: expected a number >= 1, or one per level; got {self.hub_period!r}")
        if isinstance(self.weights, str):
            one_of(("rows", "equal"), weights=self.weights)
        elif not self.weights or min(self.weights) <= 0:
            raise InputError('weights: expected "rows", "equal", or a list of numbers > 0, one per worker')
        elif max(self.weights) > _SPAN * min(self.weights):
            raise InputError(f"weights: expected the largest to be at most {_SPAN:g} times the smallest")
        if self.gamma != "auto":
            within(0, 1, including="high", gamma=self.gamma)
        if not self.outer_step > 0:
            raise InputError(f"outer_step: expected a number > 0, got {self.outer_step!r}")
        within(0, 1, including="low", outer_momentum=self.outer_momentum)

    @abc.abstractmethod
    def local_work(self, node: Node, f: Any, s: MultilevelState, slots: int) -> Vector:
        """Return the worker's model, (d,), after `slots` time slots from `s.w`."""

    def init(self, node: Node, f: Oracle, w0: Vector) -> MultilevelState:  # noqa: ARG002
        s = MultilevelState(w=w0.copy())
        if self._has_outer_step:
            s.origin, s.velocity = w0.copy(), np.zeros_like(w0)
        if not isinstance(self.compressor, Identity):
            s.copy, s.surroundings = np.zeros_like(w0), np.zeros_like(w0)
        if self.overlap:
            s.late = np.zeros_like(w0)
        return s

    def restarted(self, node: Node, f: Oracle, s: MultilevelState) -> MultilevelState:
        Place(node, self._weight(node, f))  # gives the node its weight in the mean model
        return super().restarted(node, f, s)

    def among(self, workers: Sequence[int]) -> Self:
        return self if isinstance(self.weights, str) else replace(self, weights=tuple(self.weights[i] for i in workers))

    @property
    def _has_outer_step(self) -> bool:
        """Whether there is an outer optimiser."""
        return self.outer_step != 1.0 or self.outer_momentum > 0.0

    def rounds(self, node: Node, f: Oracle, s: MultilevelState) -> Iterator[MultilevelState]:
        place = Place(node, self._weight(node, f))
        average = self._averaging(node, place, f.d, s)
        self.prepare(node, f, s)
        while True:
            slots = 1 if s.rounds < self.post_local else self.local_steps
            due = self._due(s.rounds + 1, len(place.network.levels))
            if f.n:
                x = self.local_work(node, f, s, slots)
            else:  # a hub that holds no rows
                node.slots.skip(0 if self.deadline else slots)
                x = s.w
            if self.waits:
                place.meet(node, due)
            s.slots += slots
            s.rounds += 1
            s.w = average.overlapping_mean(x, due, s.rounds, s.late) if self.overlap else average.mean(x, due, s.rounds)
            yield s

    def prepare(self, node: Node, f: Oracle, s: MultilevelState) -> None:
        """Find what `local_work` needs, step sizes, say; collective over all nodes."""

    def _due(self, round_: int, levels: int) -> int:
        """Return up to which level round `round_`, from 1 on, averages: 1 = the sub-networks, levels + 1 = the top."""
        if round_ <= self.post_local:
            return levels + 1
        periods = (self.hub_period,) * levels if isinstance(self.hub_period, int) else self.hub_period
        return 1 + [round_ % period for period in accumulate(periods, mul)].count(0)

    def _averaging(self, node: Node, place: Place, d: int, s: MultilevelState) -> HubAveraging:
        mixing: HubMixing | HubMean = HubMean(place)
        if self.over_graph:
            gamma = (self.compressor.contraction(d) or 1.0) if self.gamma == "auto" else self.gamma
            mixing = HubMixing(node, place, self.compressor, gamma, d, s.copy, s.surroundings)
        outer = OuterStep(s.origin, s.velocity, self.outer_step, self.outer_momentum) if self._has_outer_step else None
        return HubAveraging(place, mixing, outer)

    def _weight(self, node: Node, f: Oracle) -> float:
        """Return w_i of this node; 0 on a hub that holds no rows."""
        if not f.n:
            return 0.0
        if self.weights == "rows":
            return float(f.n)
        if isinstance(self.weights, str):
            return 1.0
        assert node.hubs is not None, "a solver of hub networks requires one"
        return self.weights[node.hubs.workers.index(node.rank)]

    def by_level(self, s: MultilevelState, d: int, network: HubNetwork) -> dict[str, int]:
        """Return the bytes sent over the links of each level so far, by all nodes; -1 where messages vary in size.

        Up and down the links of a level goes a model each, at the top a message each way over the edges of the graph.
        """
        levels = len(network.levels)
        dues = [self._due(r, levels) for r in range(1, s.rounds + 1)]
        message = self.compressor.size(d) if self.over_graph else 8 * d
        sizes = [16 * d * links * sum(due > level for due in dues) for level, links in enumerate(network.links[:-1])]
        edges = network.links[-1] if self.over_graph else len(network.top) - 1
        top = -1 if message is None else 2 * edges * message * sum(due > levels for due in dues)
        return dict(zip(network.link_classes, [*sizes, top], strict=True))

    def doubles(self, s: MultilevelState, d: int) -> int:  # noqa: ARG002
        return s.reduced
