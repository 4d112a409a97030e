"""DSGD-AAU: decentralised SGD in which each worker adapts how many neighbours it waits for.

    worker j     g = grad f_j(w_j; xi)            at its own model, which no other worker changes
                 w~_j = w_j - eta g               adapt,
                 publish w~_j, arrive             wait until Pathsearch completes an iteration with j in it,
                 w_j = sum_i M_ij w~_i            then combine: i over j and its neighbours in that iteration

A worker waits only for a neighbour over an edge that is unused in this epoch: stragglers delay no one for long, and
no edge stays unused for long. M holds the Metropolis weights of the iteration's own graph: symmetric and
doubly stochastic, so the mean moves by -(eta / N) times the sum of the gradients that take part, and by nothing else.
Workers read each other's models from windows; the search itself is in `hpcopt.solvers.parts.pathsearch`.

Xiong, Yan, Wang, Li: "Straggler-resilient decentralized learning via adaptive asynchronous updates", MobiHoc 2024
(arXiv 2306.06559). Only the abstract, a summary and the first paragraph of the paper were available: the listing, the
weights and the rule are from memory and derivation, and what they leave open is a parameter whose default is our
choice. If gradients differ in age k_j, eta is that of the worker's own last iteration.

Extensions of ours, off by default: `overlap`, `compressor`, `weight`, `grace`, rules and members other than the first.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.errors import InputError
from hpcopt.fabric.board import Board
from hpcopt.fabric.interface import Node
from hpcopt.fabric.publication import Publication
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.asynchronous import AsynchronousSolver, AsynchronousState, PiecewiseGradient
from hpcopt.solvers.parts.edge_copies import Copies, EdgeCopies
from hpcopt.solvers.parts.gossip import check_descent
from hpcopt.solvers.parts.pathsearch import (
    ARRIVE,
    CLOSE,
    DETACH,
    GROUP,
    MEMBERS,
    PENDING,
    RULES,
    STOP,
    Pathsearch,
    Turn,
)
from hpcopt.solvers.parts.step_size import StepSize
from hpcopt.topology.mixing import Mixing

MOST_SPEED_UP = 10.0  # largest factor on the step of a worker that takes part rarely
Adapt = Callable[[Vector, float], Vector]
"""Given a model and the factor of its step, returns the model after the local step."""


@dataclass
class AAUState(AsynchronousState):
    """A worker's model, and its knowledge of the system's progress."""

    COMMON = ("iteration", "epoch", "participations")

    start: Vector | None = None  # (d,), the same on all workers
    epoch: int = 0
    taken_part: int = 0  # iterations
    participations: int = 0  # of all workers, as far as this worker knows
    copies: Copies | None = None  # with a compressor


@lru_cache(maxsize=1)  # for all nodes of a process
def _search(mixing: Mixing, rule: str, members: str, *, grace: bool) -> Pathsearch:
    pairs = np.unique(np.sort(mixing.pairs, axis=1), axis=0)
    return Pathsearch(mixing.n, pairs, rule=rule, members=members, grace=grace)


class AdaptiveAveraging(AsynchronousSolver[AAUState]):
    """Base of solvers that average local steps as DSGD-AAU does; subclasses define the local step."""

    needs = Needs(
        models="own",
        topology="graph",
        pace="own",
        weights="doubly-stochastic",
        fixed_graph=True,
        two_way=True,
        compressor="contractive",
    )

    rule: str
    members: str
    grace: float
    weight: str
    overlap: bool
    gamma: float | str

    def check(self) -> None:
        """Raise an error for parameters out of range."""
        one_of(RULES, rule=self.rule)
        one_of(MEMBERS, members=self.members)
        one_of(("equal", "inverse-rate"), weight=self.weight)
        at_least(0, grace=self.grace)
        if self.gamma != "auto" and not (isinstance(self.gamma, (int, float)) and 0 < self.gamma <= 1):
            raise InputError(f'gamma: expected a number above 0 and at most 1, or "auto"; got {self.gamma!r}')
        if self.overlap and not isinstance(self.compressor, Identity):
            raise InputError("overlap: requires uncompressed models; remove overlap or compressor")

    def init(self, node: Node, f: Oracle, w0: Vector) -> AAUState:  # noqa: ARG002
        return AAUState(w=w0.copy(), start=w0.copy())

    @abc.abstractmethod
    def adapter(self, node: Node, f: Oracle, s: AAUState) -> Adapt:
        """Return this node's local step; collective."""

    def rounds(self, node: Node, f: Oracle, s: AAUState) -> Iterator[AAUState]:
        assert node.mixing is not None
        adapt = self.adapter(node, f, s)
        search = node.board(self.search(node.mixing))
        models = node.publication(f.d)
        assert s.start is not None
        copies = None
        if not isinstance(self.compressor, Identity):
            s.copies = s.copies or Copies()
            copies = EdgeCopies(node, self.compressor, s.start, s.copies)
        begun = s.iteration, s.epoch, s.participations  # 0, unless the workers have stopped and start again
        s.gamma = self.compressor.contraction(f.d) if self.gamma == "auto" else float(self.gamma)
        ahead = None
        while True:
            adapted = adapt(s.w, self._factor(node, s)) if ahead is None else s.w + ahead
            s.steps += 1
            search.post(ARRIVE, models.publish(adapted) if copies is None else 0)
            turn = self._turn(node, search)
            if turn.kind != GROUP:
                s.discarded += 1
                return
            if copies is None:
                ahead = self._combine(node, models, adapted, turn, s, adapt)
            else:
                s.w = self._compressed(node, copies, adapted, turn, s)
            s.iteration, s.epoch, s.participations = (
                begun[0] + turn.k,
                begun[1] + turn.epoch,
                begun[2] + turn.participations,
            )
            s.taken_part += 1
            yield s
            if node.stopping or node.leaving:
                if ahead is not None:
                    s.steps += 1
                    s.discarded += 1
                search.post(STOP if node.stopping else DETACH)
                return

    def search(self, mixing: Mixing) -> Pathsearch:
        """Return the search over the topology's edges; directed edges are treated as undirected."""
        return _search(mixing, self.rule, self.members, grace=self.grace > 0)

    def _turn(self, node: Node, search: Board) -> Turn:
        """Wait for an iteration with this worker; if this worker is the closer and has grace, close it afterwards."""
        turn = Turn.of(search.wait())
        while turn.kind == PENDING:
            node.stand_by(self.grace)
            search.post(CLOSE)
            turn = Turn.of(search.wait())
        return turn

    def _combine(
        self, node: Node, models: Publication, adapted: Vector, turn: Turn, s: AAUState, adapt: Adapt
    ) -> Vector | None:
        """Set w to sum_i M_ij w~_i, in ascending order of the nodes; with overlap, return the local step from w~."""
        others = [place for place, rank in enumerate(turn.ranks.tolist()) if rank != node.rank]
        sources, numbers = turn.ranks[others].tolist(), turn.publications[others].tolist()
        models.expect(len(sources))
        models.fetch(sources, numbers)
        ahead = adapt(adapted, self._factor(node, s)) - adapted if self.overlap else None
        theirs = iter(models.fetched(sources, numbers))
        s.w = np.zeros(adapted.size)
        for rank, weight in zip(turn.ranks.tolist(), turn.weights.tolist(), strict=True):
            s.w += weight * (adapted if rank == node.rank else next(theirs))
        return ahead

    def _compressed(self, node: Node, copies: EdgeCopies, adapted: Vector, turn: Turn, s: AAUState) -> Vector:
        """Return w~ + gamma sum_i M_ij (c_ij - c_ji)."""
        neighbours = [(r, m) for r, m in zip(turn.ranks.tolist(), turn.weights.tolist(), strict=True) if r != node.rank]
        w = adapted.copy()
        differences = copies.exchange(adapted, [rank for rank, _ in neighbours])
        for (_, weight), difference in zip(neighbours, differences, strict=True):
            w += s.gamma * weight * difference
        return w

    def _factor(self, node: Node, s: AAUState) -> float:
        """Return r / r_j for "inverse-rate": workers that take part rarely take larger steps."""
        if self.weight == "equal" or not s.taken_part:
            return 1.0
        return min(s.participations / (node.size * s.taken_part), MOST_SPEED_UP)


@register("dsgd-aau")
@dataclass(frozen=True, kw_only=True)
class DSGDAAU(AdaptiveAveraging):
    """DSGD-AAU: asynchronous decentralised SGD; each worker adapts the number of neighbours it waits for.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power } over the system's iterations, "c/L" or "auto" (1/L).
    batch
        Rows of each shard per gradient; 0 = all.
    rule
        Which edge completes an iteration: one "unseen" in this epoch, or one that joins two connected "component"s of
        the edges used.
    members
        The workers that take part: "all_linked" (ready workers with a ready neighbour), "all", "piece" or "star".
    grace
        Seconds for which a worker that could complete an iteration waits for more workers.
    weight
        Weights of the gradients: "equal", or "inverse-rate": the mean participation rate over the worker's own.
    overlap
        Whether the next gradient is computed during the exchange, at the worker's own model w~ instead of at the
        average.
    compressor
        For the models sent; other than "identity", differences to the copy at the other end of each edge are sent.
    gamma
        Step of compressed averaging; "auto": the fraction of a vector's squared norm that the compressor preserves.
    """

    paper = "Xiong, Yan, Wang, Li 2024, MobiHoc, arXiv 2306.06559"
    floor = "constant step size: error grows with the step size, the gradient noise and the data heterogeneity"

    step_size: StepSize = "auto"
    batch: int = 32
    rule: Literal["unseen", "component"] = "unseen"
    members: Literal["all_linked", "all", "piece", "star"] = "all_linked"
    grace: float = 0.0
    weight: Literal["equal", "inverse-rate"] = "equal"
    overlap: bool = False
    compressor: Compressor = Identity()
    gamma: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)
        self.check()

    def adapter(self, node: Node, f: Oracle, s: AAUState) -> Adapt:
        gradient = PiecewiseGradient(node, f, self.batch)
        s.schedule = eta = s.schedule or gradient.schedule(self.step_size, s)
        return lambda w, factor: w - factor * eta.sizes(s.iteration, 1)[0] * gradient(w, s.steps)
