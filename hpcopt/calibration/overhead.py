"""The time of solvers' own code: what passes on a node outside oracle calls, and beyond what its operations take.

At small sizes it is most of an iteration. It is measured in short runs of every synchronous solver with nearly default
parameters: on few rows and a small model, a large model, and many rows. Work that reads more than a cache holds makes
all code after it slower.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import scipy.sparse

from hpcopt.arrays import Vector
from hpcopt.errors import InputError
from hpcopt.fabric.calibration import Links, Overhead, coldness
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster, Group, Node
from hpcopt.fabric.meter import Work
from hpcopt.fabric.seam import Observer, Operation
from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.storage import as_matrix
from hpcopt.results.outcome import Recording
from hpcopt.results.output import Output
from hpcopt.results.stopping import StopRule
from hpcopt.runs.driver import drive
from hpcopt.solvers import SOLVERS, Solver
from hpcopt.solvers.needs import Setting
from hpcopt.solvers.objections import objections
from hpcopt.topology import TOPOLOGIES, build
from hpcopt.topology.hubs import Hubs

FEW, MANY = (64, 16), (2**17, 16)  # rows of a node, and features: the many do not fit into a core's caches
WIDE = (64, 2048)
ITERATIONS = {FEW: 30, WIDE: 30, MANY: 8}
REPEATS = {False: 5, True: 3}
SPIKE, SHORTEST = 200.0, 1e-5  # times the median, of so many seconds at least
SHORT = {"batch": 32, "local_steps": 4}  # where a solver has them: by default, some make a pass in each iteration
FORMULATION = Formulation(Linear(), LOSSES["logistic"](), L2(weight=1e-3))


@dataclass
class Spent:
    """Where the time of a run on one node went.

    Attributes
    ----------
    events
        Oracle calls and operations.
    cold
        Oracle calls that read more than a cache holds.
    seconds
        Seconds outside oracle calls, without those that the operations should take.
    excess
        Seconds of each operation, over what it should take; all are in `seconds`.
    waits
        Seconds of `excess` in which the node waited for others.
    """

    events: int = 0
    cold: int = 0
    seconds: float = 0.0
    excess: tuple[float, ...] = ()
    waits: float = 0.0


class Gaps(Observer):
    """Measures what a node spends outside oracle calls, from its first event to the last, without monitoring.

    Parameters
    ----------
    links
        The links over which its operations go: what these should take is subtracted. None if operations do not count,
        as on virtual nodes, which take turns meanwhile.
    """

    def __init__(self, node: Node, links: Links | None) -> None:
        self._gaps: list[float] = []
        self._excess: list[float] = []  # of operations, over what they should take
        self._cold = 0
        self._node = node
        self._links = links
        self._last: float | None = None
        self._begun = 0.0
        self._work = node.meter.on_work
        node.meter.on_work = self._worked
        node.seam.attach(self)

    def begin(self, op: Operation) -> None:
        self._begun = time.perf_counter()
        if self._counts(op):
            self._note(self._begun)

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        if self._node.ledger.current is not self._node.ledger.solver:
            self._last = None
            return
        self._last = time.perf_counter()
        if self._links is not None and self._counts(op):
            self._excess.append(self._last - self._begun - _expected(op, self._links))

    def _counts(self, op: Operation) -> bool:
        return op.kind not in {"round", "flush"} and self._node.ledger.current is self._node.ledger.solver

    def _worked(self, work: Work, seconds: float) -> None:
        self._note(time.perf_counter() - seconds)
        self._cold += round(coldness(work, self._node.meter.storage))
        if self._work is not None:
            self._work(work, seconds)
        self._last = time.perf_counter()

    def _note(self, now: float) -> None:
        if self._last is not None:
            self._gaps.append(now - self._last)

    @property
    def spent(self) -> Spent:
        """The sums so far."""
        return Spent(len(self._gaps), self._cold, _sum(self._gaps) + _sum(self._excess), tuple(self._excess))


def _sum(seconds: Sequence[float] | Vector) -> float:
    """Return the sum, with spikes, which are other programs', replaced by the mean of the others."""
    if not len(seconds):
        return 0.0
    found = np.array(seconds)
    return float(found[found <= SPIKE * max(float(np.median(found)), SHORTEST)].mean()) * len(found)


def _expected(op: Operation, links: Links) -> float:
    """Return what an operation should take."""
    if op.kind in {"exchange", "exchange_varying"}:
        return links.exchanged(len(op.peers), op.sent)
    return links.collective(op.kind, len(op.peers), op.sent or op.received)


def measured(cluster: Cluster, links: Links | None, *, quick: bool) -> dict[str, Overhead]:
    """Return the overhead of each solver that runs with default parameters; collective."""
    found = {}
    conditions = Conditions(mixing=build(TOPOLOGIES["ring"](), cluster.size), hubs=Hubs().network(cluster.size, 0))
    shards = {shape: {node: _shard(node, *shape) for node in cluster.local_nodes} for shape in (FEW, WIDE, MANY)}
    for name, solver in _solvers(conditions):
        _spent(cluster, conditions, solver, FEW, shards, links)  # compiles
        few, wide, many = (
            [_spent(cluster, conditions, solver, shape, shards, links) for _ in range(REPEATS[quick])]
            for shape in (FEW, WIDE, MANY)
        )
        event, larger = (float(np.median([one.seconds / max(one.events, 1) for one in each])) for each in (few, wide))
        event = max(0.0, event)
        number = max(0.0, (larger - event) / (WIDE[1] - FEW[1]))
        # of long passes those of others are waited for, which is no code of the solver
        more = float(np.median([one.seconds - one.waits - event * one.events for one in many]))
        cold, events = many[0].cold, many[0].events
        few_are_cold = cold < events / 4  # the rest comes from what is done with all rows, such as shuffling them
        found[name] = Overhead(
            event=event,
            number=number,
            row=max(0.0, more / max(events, 1) / MANY[0]) if few_are_cold else 0.0,
            cold=0.0 if few_are_cold else max(0.0, more / cold),
        )
    typical = float(np.median([own.cold for own in found.values() if own.cold] or [0.0]))
    return {name: own if own.cold else replace(own, cold=typical) for name, own in found.items()}


def _solvers(conditions: Conditions) -> Iterator[tuple[str, Solver[Any]]]:
    for name in SOLVERS:
        kind: Any = SOLVERS[name]
        own = {field.name: SHORT[field.name] for field in fields(kind) if field.name in SHORT}
        try:
            solver = kind(**own)
        except (TypeError, InputError):
            continue  # it needs other parameters
        uses = conditions.hubs if solver.needs.topology == "hubs" else None
        setting = Setting(problem=FORMULATION, d=FEW[1], topology=conditions.mixing, hubs=uses)
        if solver.needs.pace != "own" and not any(objections(solver, setting)):
            yield name, solver


def _shard(node: int, rows: int, features: int) -> Shard:
    """Return random rows. Those of many features are sparse: dense ones would displace the model from the caches."""
    rng = np.random.default_rng(node)
    X: Any = rng.standard_normal((rows, features))
    if features > FEW[1]:
        X = scipy.sparse.random_array((rows, features), density=FEW[1] / features, rng=rng, format="csr")
    return Shard(as_matrix(X), np.sign(rng.standard_normal(rows)))


def _spent(
    cluster: Cluster,
    conditions: Conditions,
    solver: Solver[Any],
    shape: tuple[int, int],
    shards: dict[tuple[int, int], dict[int, Shard]],
    links: Links | None,
) -> Spent:
    """Return what a short run spends: the node of one process that spends most, the median of the processes."""
    rows, d = shape
    total = rows * cluster.size
    problem = Problem(FORMULATION, FORMULATION.sized(d), total=total, entries=total * FEW[1])
    stop, recording = StopRule(iterations=ITERATIONS[shape]), Recording(Output(record_every=0))

    def program(node: Node) -> Spent:
        gaps = Gaps(node, links)
        drive(node, problem, shards[shape][node.rank], solver, np.zeros(d), stop, recording)
        return gaps.spent

    most = max(cluster.run(program, conditions), key=lambda spent: spent.seconds)
    waits = _sum(most.excess) - least(cluster.processes, most.excess)
    told = cluster.processes.allgather(np.array([most.events, most.cold, most.seconds, waits], dtype=np.float64))
    events, cold, seconds, waits = np.median(told, axis=0).tolist()
    return Spent(round(events), round(cold), seconds, waits=waits)


def least(processes: Group, excess: tuple[float, ...]) -> float:
    """Return the sum of the least excess of each operation: that of the last to arrive, who waits for nobody.

    If ranks make other operations than others, the least of the ranks' sums.
    """
    own = np.array(excess)
    shortest, longest = processes.max(np.array([-len(own), len(own)], dtype=np.float64))
    if -shortest != longest:
        return -float(processes.max(np.array([-_sum(own)]))[0])
    return _sum(-processes.max(-own)) if len(own) else 0.0
