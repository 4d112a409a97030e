"""Cooperative SGD: local SGD steps at every node, then one average with its neighbours.

    x_i <- sum_j w_ij x_j^(tau),    x^(t+1) = x^(t) - eta g_j(x^(t))      tau steps between two averages

Wang and Joshi 2021 (Journal of Machine Learning Research 22, arXiv 1808.07576). It is `multilevel-sgd` with a hub for
each worker; with tau = 1 it is `d-psgd` in the order "adapt-then-combine".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.batches import shuffled_rows
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState
from hpcopt.solvers.parts.step_size import StepSize, check_step_size, schedule_of


@register("cooperative-sgd")
@dataclass(frozen=True, kw_only=True)
class CooperativeSGD(GossipSolver[GossipState]):
    """Cooperative SGD: local SGD steps at every node, then one average with its neighbours.

    Parameters
    ----------
    local_steps
        tau: steps between two averages; every node makes them, however long that takes.
    batch
        Rows per step; 0 = all of the shard.
    step_size
        eta: a number, a table { initial, decay, power } over local steps, "c/L", or "auto": 1/L, L the largest
        smoothness of a row's loss.
    compressor
        For the models sent; the theory covers exact ones only.
    """

    needs = Needs(models="own", topology="graph", weights="doubly-stochastic", compressor="exact", rates=True)
    paper = "Wang and Joshi 2021, JMLR 22, arXiv 1808.07576"
    floor = "constant step size: gap proportional to the step size, the gradient variance, and tau squared"

    local_steps: int = 8
    batch: int = 32
    step_size: StepSize = "auto"
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        at_least(1, local_steps=self.local_steps)
        at_least(0, batch=self.batch)
        check_step_size(self.step_size)

    def init(self, node: Node, f: Oracle, w0: Vector) -> GossipState:  # noqa: ARG002
        return GossipState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: GossipState) -> Iterator[GossipState]:
        gossip = Gossip(node, self.compressor, f.d)
        s.schedule = s.schedule or schedule_of(self.step_size, lambda: self._smoothness(node, f, s))
        batch, count = min(self.batch or f.n, f.n), self.local_steps
        while True:
            rows = shuffled_rows(node.draws(Draw.BATCH, s.steps), f.n, batch * count)
            with node.slots.until(count):
                x = f.sgd(s.w, rows, batch, s.schedule.sizes(s.steps, count))
            s.w = gossip.send(x, s.steps // count)[1].copy()
            s.steps += count
            yield s

    def _smoothness(self, node: Node, f: Oracle, s: GossipState) -> float:
        s.reduced += 1
        return float(node.world.max(np.array([f.row_smoothness()]))[0])

    def exchanged(self, s: GossipState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else s.steps // self.local_steps * size
