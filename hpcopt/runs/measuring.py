"""The measurements of a record, over all nodes; booked as monitoring, not as the solver's bytes, work or time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.interface import Node
from hpcopt.fabric.meter import Meter
from hpcopt.problems.metric import Metric
from hpcopt.problems.problem import Problem, Shard
from hpcopt.problems.targets import Targets
from hpcopt.results.record import Record

CORRELATED = 256  # most features for which the scaled gradient takes correlations into account
_NUMBERS = 8  # in a node's contribution to the sums of a record, before the gradient


@dataclass(frozen=True)
class Counts:
    """Counts of what a node has sent and read so far."""

    bytes: int
    down: int
    messages: int
    touched: float
    rounds: int
    busiest: int  # bytes over its busiest edge
    over_edges: int  # bytes over all its edges
    steps: int  # in time slots
    by_class: dict[str, int]  # link class -> bytes


@dataclass(frozen=True)
class Surveyed:
    """All nodes' models, and what is known about them without any rows; the same on all nodes."""

    models: NDArray[np.float64]  # (nodes, d)
    weights: Vector | None  # (nodes,)
    penalties: Vector  # (nodes,), the penalty's value at each model
    mean: Vector  # (d,)
    apart: float  # rms distance to the mean


NOTHING = Counts(0, 0, 0, 0.0, 0, 0, 0, 0, {})


def counted(node: Node) -> Counts:
    """Return the current counts of `node`."""
    sent = node.ledger.solver
    by_edge = sent.by_edge.values()
    busiest, over_edges = max(by_edge, default=0), sum(by_edge)
    return Counts(
        sent.bytes,
        sent.down,
        sent.messages,
        node.meter.touched,
        sent.rounds,
        busiest,
        over_edges,
        node.slots.steps,
        dict(sent.by_class),
    )


class Watch:
    """Measures a node's run with a separate oracle, so that the solver's oracle is neither warmed nor charged.

    Parameters
    ----------
    decentralised
        Whether the nodes' models differ.
    scaled
        Whether records have the scaled gradient.
    before
        What nodes that have left had sent and read; one of the others adds it to its own.
    """

    def __init__(
        self,
        node: Node,
        problem: Problem,
        shard: Shard,
        *,
        decentralised: bool = False,
        scaled: bool = False,
        before: Counts = NOTHING,
    ) -> None:
        self._node = node
        self._decentralised = decentralised
        self._directed = not decentralised or node.hubs is not None  # otherwise messages go to equals
        self._problem = problem
        self._shard = shard
        self._before = before
        self.counts: dict[int, Counts] = {}
        """Iteration -> the node's own counts, of the last two records."""
        self._oracle = problem.on(shard, Meter())
        self.holds = shard.matrix.n > 0
        """Whether the node holds rows: models of others do not count."""
        self._metric: Metric | None = None
        if scaled:
            self.scale()

    def scale(self) -> None:
        """Measure the scaled gradient from now on, if its size means anything; collective.

        With a penalty that is not smooth, of the residual: it need not be in the span of the rows, outside which the
        full metric has no meaning, so that the diagonal is used.
        """
        if self._metric is None and self._problem.formulation.loss.flat_minima:
            share, correlated = self._oracle.share, CORRELATED if self._oracle.penalty.smooth else 0
            with self._node.monitoring():
                self._metric = self._oracle.metric(lambda v: self._node.world.sum(share * v), correlated=correlated)

    def measure(self, w: Vector, iteration: int, *, here: bool = True) -> tuple[Record, Vector]:
        """Return the record of the model `w`, and the measured model, the same on every node.

        Of a decentralised solver, whose nodes have a `w` each, that is the mean model of the nodes that hold rows and
        are still `here`; by their weights, if they have any.
        """
        seconds = self._node.now()
        with self._node.monitoring():
            if not self._decentralised:
                return self._record(w, iteration, seconds), w
            weight = self._node.weight
            counts = here and (self.holds if weight is None else weight > 0.0)
            brought = w if weight is None else np.append(w, weight)
            everyones = self._node.world.allgather(brought if counts else w[:0])
            of = everyones.once("survey", lambda: self._surveyed(everyones, weighted=weight is not None))
            objectives = self._oracle.values(of.models, of.penalties)
            mean, apart, weights = of.mean.copy(), of.apart, of.weights
            return self._disagreement(self._record(mean, iteration, seconds), apart, objectives, weights), mean

    def _record(self, w: Vector, iteration: int, seconds: float) -> Record:
        """Return the columns that every record has."""
        node = self._node
        own = counted(node)
        self.counts = dict([*self.counts.items()][-1:]) | {iteration: own}
        sums = self.share_of(w, own)
        here = self.record(w, node.world.sum(sums, out=sums), iteration, seconds, node.ledger.solver.rounds)
        round_ = max(here.round, self._before.rounds)
        largest = np.array([here.seconds, float(round_), here.scaled_gradient or 0.0])
        last, rounds, scaled = node.world.max(largest)  # bitwise equal on all nodes
        record = self._slotted(replace(here, seconds=float(last), round=int(rounds)), own)
        return record if self._metric is None else replace(record, scaled_gradient=float(scaled))

    def _slotted(self, record: Record, own: Counts) -> Record:
        """Return `record` with slots and steps, and bytes by class of link, where nodes have rates or hubs."""
        node, hubs = self._node, self._node.hubs
        if hubs is None and node.slots.rate is None:
            return record
        classes = () if hubs is None else (*hubs.link_classes, "world")
        before = self._before
        sent = [own.by_class.get(link_class, 0) + before.by_class.get(link_class, 0) for link_class in classes]
        steps, *sizes = node.world.sum(np.array([own.steps + before.steps, *sent], dtype=np.float64)).tolist()
        slots = node.world.max(np.array([float(node.slots.count)]))[0]
        by_link = {link_class: int(size) for link_class, size in zip(classes, sizes, strict=True)}
        return replace(record, slots=int(slots), gradients=int(steps), bytes_by_link=by_link or None)

    def share_of(self, w: Vector, counts: Counts) -> Vector:
        """Return this node's contribution to the sums of a record of the model `w`, shape (8 + d,)."""
        here = self._oracle.at(w)
        share, value, gradient = self._oracle.share, here.value, here.gradient
        tested, right = self._test(w)
        before = self._before
        sent = counts.bytes + before.bytes, counts.down + before.down, counts.messages + before.messages
        passed = counts.over_edges + before.over_edges, counts.touched + before.touched
        told = np.empty(_NUMBERS + len(w))
        told[:_NUMBERS] = share * value, *sent, *passed, tested, right
        np.multiply(share, gradient, out=told[_NUMBERS:])
        self._oracle.recall({})  # the point has several vectors, and no use until the next record
        return told

    def record(self, w: Vector, sums: Vector, iteration: int, seconds: float, rounds: int) -> Record:
        """Return the columns that every record of `w` has, given the sums of the nodes' contributions, (8 + d,)."""
        objective, size, down, messages, over_edges, touched, tests, hits = (float(v) for v in sums[:_NUMBERS])
        tested = hits / tests if tests else None
        penalty, weights, gradient = self._oracle.penalty, w[: self._oracle.penalised], sums[_NUMBERS:]

        def least(g: Vector) -> Vector:
            found = g.copy()
            found[: len(weights)] = penalty.residual(weights, g[: len(weights)])
            return found

        residual = gradient if penalty.smooth else least(gradient)
        is_error = self._problem.formulation.loss.targets is Targets.REAL
        return Record(
            round=rounds,
            iteration=iteration,
            seconds=float(seconds),
            clock=self._node.clock,
            bytes=int(size),
            messages=int(messages),
            work=touched / max(1, self._problem.entries + self._problem.lost_entries),  # sparse rows may have none
            objective=objective,
            grad_norm=float(np.linalg.norm(residual)),
            bytes_up=int(size - down) if self._directed else None,
            bytes_down=int(down) if self._directed else None,
            scaled_gradient=None
            if self._metric is None
            else self._metric.relative(gradient, objective, None if penalty.smooth else least),
            nonzeros=None if penalty.smooth else int(np.count_nonzero(weights)),
            kkt=None if penalty.smooth else float(np.abs(residual).max()),
            test_accuracy=None if is_error else tested,
            test_error=tested if is_error else None,
            model_bytes=int(over_edges) if self._decentralised else None,
            left=None if self._node.remaining is None else self._node.remaining.lost,
            lost_rows=None if self._node.remaining is None else self._problem.lost_rows,
        )

    def _surveyed(self, everyones: Gathered, *, weighted: bool) -> Surveyed:
        """Return what only depends on the nodes' models, and their weights if these come with them."""
        models, weights = np.array([model for model in everyones if len(model)]), None
        if weighted:
            models, weights = models[:, :-1].copy(), models[:, -1].copy()
        mean = np.average(models, axis=0, weights=weights)
        apart = float(np.sqrt(np.average(np.sum((models - mean) ** 2, axis=1), weights=weights)))
        penalty, some = self._oracle.penalty, self._oracle.penalised
        penalties = np.array([penalty.value(w[:some]) for w in models])
        return Surveyed(models, weights, penalties, mean, apart)

    def _disagreement(self, record: Record, apart: float, objectives: Vector, weights: Vector | None) -> Record:
        """Return `record` with the consensus distance and the objectives of the nodes' models over all the data."""
        node = self._node
        objectives *= self._oracle.share  # in place: on a virtual cluster every node has a number for every node here
        node.world.sum(objectives, out=objectives)
        busiest = max(counted(node).busiest, self._before.busiest)
        consensus, most = node.world.max(np.array([apart, float(busiest)]))  # bitwise equal on all nodes
        return replace(
            record,
            consensus=float(consensus),
            mean_objective=float(np.average(objectives, weights=weights)),
            worst_objective=float(objectives.max()),
            edge_bytes=int(most) if weights is None else None,
            model_bytes=record.model_bytes if weights is None else None,
        )

    def _test(self, w: Vector) -> tuple[float, float]:
        """Return (number of local test rows, number classified correctly or sum of squared errors)."""
        matrix, y = self._shard.test_matrix, self._shard.test_y
        if matrix is None or y is None or not len(y):
            return 0.0, 0.0
        return float(len(y)), self._problem.model.score(w, matrix, y)
