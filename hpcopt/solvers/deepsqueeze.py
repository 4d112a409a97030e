"""DeepSqueeze: the models themselves are compressed, and the error is added to the next message.

    u = x_i - eta grad f_i(x_i),    v = u + e_i,    send C(v),    e_i <- v - C(v),
    x_i <- u + gamma sum_j w_ij (C(v_j) - C(v_i))

Error feedback without any copy of a neighbour. Tang et al. 2019 (arXiv 1907.07346), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.consensus_step import Gamma, check_gamma, resolve_gamma
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize


@dataclass(kw_only=True)
class DeepSqueezeState(GossipState):
    """A node's model x (`w`) and the accumulated compression error of its messages."""

    error: Vector  # (d,)


@register("deepsqueeze")
@dataclass(frozen=True, kw_only=True)
class DeepSqueeze(GossipSolver[DeepSqueezeState]):
    """DeepSqueeze: compressed models with error feedback; no copies of neighbours.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L" with L the largest smoothness of a node's objective, or
        "auto": 1/L.
    gamma
        Consensus step size in (0, 1]; "auto": a quarter of the value found by a short trial of gossip of differences;
        "theory": that of CHOCO-Gossip.
    batch
        Rows of each shard per gradient; 0 = all.
    compressor
        C, for the models; contractive.
    """

    needs = Needs(models="own", topology="graph", weights="symmetric", compressor="contractive")
    paper = "Tang, Lian, Qiu, Yuan, Zhang, Zhang, Liu 2019, arXiv 1907.07346"
    floor = "compression error proportional to the models, plus the error of a constant step size, as for dgd"

    step_size: StepSize = "auto"
    gamma: Gamma = "auto"
    batch: int = 0
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)
        check_gamma(self.gamma)

    def init(self, node: Node, f: Oracle, w0: Vector) -> DeepSqueezeState:  # noqa: ARG002
        return DeepSqueezeState(w=w0.copy(), error=np.zeros_like(w0))

    def rounds(self, node: Node, f: Oracle, s: DeepSqueezeState) -> Iterator[DeepSqueezeState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s)
        gamma = s.gamma = s.gamma or self._gamma(node, gossip, f.d, s)
        while True:
            u = s.w - eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)
            v = u + s.error
            C, CW = gossip.send(v, s.steps)
            s.error = v - C
            s.w = u + gamma * (CW - C)  # the weights sum to one: sum_j w_ij (C(v_j) - C(v_i))
            s.steps += 1
            yield s

    def _gamma(self, node: Node, gossip: Gossip, d: int, s: DeepSqueezeState) -> float:
        """Return a quarter of the gamma for gossip of differences, as whole models are compressed here (measured)."""
        gamma = resolve_gamma(self.gamma, node, gossip, self.compressor, d, s)
        return gamma / 4.0 if self.gamma == "auto" and self.compressor.contraction(d) != 1.0 else gamma

    def exchanged(self, s: DeepSqueezeState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else (s.steps + s.probed) * size
