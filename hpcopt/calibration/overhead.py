"""The time of solvers' own code: what passes on a node between oracle calls and operations of the fabric.

At small sizes it is most of an iteration. It is measured in short runs of every synchronous solver, with default
parameters, on two sizes of models.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.calibration import Overhead
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Cluster, Node
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

NUMBERS = (16, 2048)  # of the models
ROWS = 64  # of a node
ITERATIONS = 30
REPEATS = {False: 3, True: 1}
SPIKE = 20.0  # gaps of so many times the median are another program's


class Gaps(Observer):
    """Collects the seconds between the events on a node: oracle calls and operations that are not monitoring."""

    def __init__(self, node: Node) -> None:
        self.seconds: list[float] = []
        self._node = node
        self._last: float | None = None
        self._work = node.meter.on_work
        node.meter.on_work = self._worked
        node.seam.attach(self)

    def begin(self, op: Operation) -> None:
        if op.kind not in {"round", "flush"} and self._node.ledger.current is self._node.ledger.solver:
            self._note(time.perf_counter())

    def end(self, op: Operation, result: Any) -> None:  # noqa: ARG002
        counts = self._node.ledger.current is self._node.ledger.solver
        self._last = time.perf_counter() if counts else None

    def _worked(self, work: Work, seconds: float) -> None:
        now = time.perf_counter()
        self._note(now - seconds)
        if self._work is not None:
            self._work(work, seconds)
        self._last = time.perf_counter()

    def _note(self, now: float) -> None:
        if self._last is not None:
            self.seconds.append(now - self._last)

    @property
    def mean(self) -> float:
        """The mean gap, without spikes."""
        gaps = np.array(self.seconds)
        return float(gaps[gaps <= SPIKE * np.median(gaps)].mean()) if len(gaps) else 0.0


def measured(cluster: Cluster, *, quick: bool) -> dict[str, Overhead]:
    """Return the overhead of each solver that runs with default parameters; collective."""
    found = {}
    conditions = Conditions(mixing=build(TOPOLOGIES["ring"](), cluster.size), hubs=Hubs().network(cluster.size, 0))
    for name, solver in _solvers(conditions):
        small, large = (
            float(np.median([_gap(cluster, conditions, solver, d) for _ in range(REPEATS[quick])])) for d in NUMBERS
        )
        number = max(0.0, (large - small) / (NUMBERS[1] - NUMBERS[0]))
        found[name] = Overhead(event=max(0.0, small - number * NUMBERS[0]), number=number)
    return found


def _solvers(conditions: Conditions) -> Iterator[tuple[str, Solver[Any]]]:
    formulation = Formulation(Linear(), LOSSES["logistic"](), L2(weight=1e-3))
    for name in SOLVERS:
        try:
            solver = SOLVERS[name]()
        except (TypeError, InputError):
            continue  # it needs parameters
        uses = conditions.hubs if solver.needs.topology == "hubs" else None
        setting = Setting(problem=formulation, d=NUMBERS[0], topology=conditions.mixing, hubs=uses)
        if solver.needs.pace != "own" and not any(objections(solver, setting)):
            yield name, solver


def _gap(cluster: Cluster, conditions: Conditions, solver: Solver[Any], d: int) -> float:
    """Return the mean gap of a short run: the largest of the nodes of one process, the median of the processes."""
    formulation = Formulation(Linear(), LOSSES["logistic"](), L2(weight=1e-3))
    problem = Problem(formulation, formulation.sized(d), total=ROWS * cluster.size, entries=ROWS * cluster.size * d)
    stop, recording = StopRule(iterations=ITERATIONS), Recording(Output(record_every=0))

    def program(node: Node) -> float:
        rng = np.random.default_rng(node.rank)
        shard = Shard(as_matrix(rng.standard_normal((ROWS, d))), np.sign(rng.standard_normal(ROWS)))
        gaps = Gaps(node)
        drive(node, problem, shard, solver, np.zeros(d), stop, recording)
        return gaps.mean

    own = max(cluster.run(program, conditions))
    return float(np.median([float(each[0]) for each in cluster.processes.allgather(np.array([own]))]))
