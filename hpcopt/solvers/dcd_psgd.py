"""DCD-PSGD: difference compression. Neighbours hold exact replicas of a node's model and add its compressed changes.

    y = sum_j w_ij x_j - eta grad f_i(x_i),    q = C(y - x_i),    x_i <- x_i + q  (at the neighbours, too)

The compression error is never corrected, so the compressor must be nearly exact. Tang, Gan, Zhang, Zhang, Liu 2018
(arXiv 1803.06443), Algorithm 1. A node keeps sum_j w_ij x_j instead of its neighbours' replicas, which is equivalent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor
from hpcopt.compression.base import EXACT
from hpcopt.compression.identity import Identity
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.dgd import stable_factor
from hpcopt.solvers.needs import Condition, Needs, Objection, Setting
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize


@dataclass(kw_only=True)
class DCDState(GossipState):
    """A node's model x (`w`), and the weighted sum of the replicas in its neighbourhood."""

    surroundings: Vector  # (d,), sum_j w_ij x_j


def _small_variance(solver: DCDPSGD, setting: Setting) -> Objection | None:
    compressor, topology, d = solver.compressor, setting.topology, setting.d
    if d is None:
        return None
    variance = compressor.variance(d)
    if variance is None and compressor.exact(d):
        variance = EXACT
    if variance is None:
        what = f"requires an unbiased compressor; {compressor.name} with these parameters is biased"
        return Objection("solver.compressor", what, can_be_forced=True)
    if topology is None or topology.n == 1 or not topology.symmetric:
        return None
    limit, error = topology.gap / (2.0 * topology.beta), np.sqrt(variance)
    if error < limit:
        return None
    what = (
        f"requires a compressor with a relative error below {limit:.3g} on this topology (spectral gap / 2 ||I - W||); "
        f"that of {compressor.name} with these parameters is up to {error:.3g}"
    )
    return Objection("solver.compressor", what, can_be_forced=True)


@register("dcd-psgd")
@dataclass(frozen=True, kw_only=True)
class DCDPSGD(GossipSolver[DCDState]):
    """DCD-PSGD: neighbours apply compressed differences to replicas of each other's models; needs small variance.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power }, "c/L" with L the largest smoothness of a node's objective, or
        "auto": 1/L, at most (1 + the smallest eigenvalue of W) / L.
    batch
        Rows of each shard per gradient; 0 = all.
    compressor
        C, for the differences; unbiased, with a small variance.
    """

    needs = Needs(
        models="own",
        topology="graph",
        weights="symmetric",
        fixed_graph=True,
        compressor="contractive",
        also=(Condition("unbiased compressor of small variance", _small_variance),),
    )
    paper = "Tang, Gan, Zhang, Zhang, Liu 2018, arXiv 1803.06443"
    floor = "constant step size: gap proportional to eta^2, where gradient and consensus terms balance"

    step_size: StepSize = "auto"
    batch: int = 0
    compressor: Compressor = Identity()

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)

    def init(self, node: Node, f: Oracle, w0: Vector) -> DCDState:  # noqa: ARG002
        return DCDState(w=w0.copy(), surroundings=w0.copy())  # all start at w0, and weights sum to one

    def restarted(self, node: Node, f: Oracle, s: DCDState) -> DCDState:
        fresh = super().restarted(node, f, s)
        fresh.surroundings = Gossip(node, Identity(), f.d).send(s.w, s.steps)[1].copy()  # replicas start at the models
        return fresh

    def rounds(self, node: Node, f: Oracle, s: DCDState) -> Iterator[DCDState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, stable_factor(gossip.mixing))
        while True:
            y = s.surroundings - eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)  # sum_j w_ij x_j - eta g_i
            q, qW = gossip.send(y - s.w, s.steps)
            s.w = s.w + q
            s.surroundings += qW
            s.steps += 1
            yield s

    def exchanged(self, s: DCDState, d: int) -> int:
        size = self.compressor.size(d)
        return -1 if size is None else s.steps * size
