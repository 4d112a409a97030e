"""DCD-PSGD: difference compression. Neighbours hold exact replicas of a node's model and add its compressed changes.

    y = sum_j w_ij x_j - eta grad f_i(x_i),    q = C(y - x_i),    x_i <- x_i + q  (at the neighbours, too)

What the compressor loses is lost for good, so it must be nearly exact. Tang, Gan, Zhang, Zhang, Liu 2018
(arXiv 1803.06443), Algorithm 1. A node keeps sum_j w_ij x_j instead of its neighbours' replicas, which is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Vector, register
from hpcopt.solvers.dgd import stable_factor
from hpcopt.solvers.parts.gossip import EXACT, Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize
from hpcopt.topology.mixing import Mixing


@dataclass(kw_only=True)
class DCDState(GossipState):
    """A node's model x (`w`), and what its neighbourhood makes of the replicas."""

    surroundings: Vector  # (d,), sum_j w_ij x_j


@register("dcd-psgd")
@dataclass(frozen=True, kw_only=True)
class DCDPSGD(GossipSolver[DCDState]):
    """DCD-PSGD: neighbours add the compressed changes of each other's models; for compressors that lose little.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L" with L the largest smoothness of a node's objective, or
        "auto": 1/L, at most (1 + the smallest eigenvalue of W) / L.
    batch
        Rows of each shard a gradient; 0 = all.
    compressor
        C, of the changes; unbiased, of small variance.
    """

    paper = "Tang, Gan, Zhang, Zhang, Liu 2018, arXiv 1803.06443"
    floor = "a constant step size ends where the gradients pull as hard as the neighbours: proportional to eta^2"

    step_size: StepSize = "auto"
    batch: int = 0
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)

    def condition(self, d: int, mixing: Mixing | None) -> str | None:
        assert mixing is not None, "decentralised solvers run on a network"
        variance = self.compressor.variance(d)
        if variance is None and (self.compressor.contraction(d) or 0.0) >= 1.0 - EXACT:
            variance = EXACT
        if variance is None:
            return f"needs an unbiased compressor; {self.compressor.name} as set here is biased"
        limit = mixing.gap / (2.0 * mixing.beta) if mixing.symmetric and mixing.n > 1 else np.inf
        if np.sqrt(variance) >= limit:
            return (
                f"needs a relative error below {limit:.3g} in this network (spectral gap / 2 ||I - W||); "
                f"{self.compressor.name} as set here may have {np.sqrt(variance):.3g}"
            )
        return super().condition(d, mixing)

    def init(self, node: Node, f: Oracle, w0: Vector) -> DCDState:  # noqa: ARG002
        return DCDState(w=w0.copy(), surroundings=w0.copy())  # all start at w0, and weights sum to one

    def rounds(self, node: Node, f: Oracle, s: DCDState) -> Iterator[DCDState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, stable_factor(gossip.mixing))
        while True:
            y = s.surroundings - eta.sizes(s.steps, 1)[0] * gradient(s.w)  # sum_j w_ij x_j - eta g_i
            q, qW = gossip.send(y - s.w, s.steps)
            s.w = s.w + q
            s.surroundings += qW
            s.steps += 1
            yield s

    def exchanged(self, s: DCDState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else s.steps * size
