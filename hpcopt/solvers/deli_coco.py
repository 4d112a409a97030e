"""DeLi-CoCo: a gradient step on each node's own shard, then Q compressed gossip steps; decentralised.

    node 0   x --eta g--> x  <~C~> x  <~C~> x           <~C~>: one compressed message to each neighbour
    node 1   x --eta g--> x  <~C~> x  <~C~> x           one gradient step, Q = 2

Every node keeps z, a public copy of its own x that all neighbours could compute, and s = sum_j w_ij z_j. Only the
compressed difference x - z is sent; S = Z W holds after every step, so s - z is the consensus direction.
With Q = 1 this is CHOCO-SGD; without compression it is DGD with W_gamma^Q, W_gamma = (1 - gamma) I + gamma W.

Hashemi, Acharya, Das, Vikalo, Sanghavi, Dhillon: "On the benefits of multiple gossip steps in communication-constrained
decentralized federated learning", IEEE TPDS 2022 (arXiv 2011.10643), Algorithm 1. Deviations: (1) the nodes start at a
common x with Z = S = 0, where the authors draw a start for each node: `scatter = 1` does; (2) shards of unequal size
weigh their gradients by K n_k / n, so that the objective is the mean over all rows. Both the paper's listing and the
authors' code use the new S and Z in the last line; CHOCO-SGD's published code uses the old ones.
Beyond the paper, off by default: `warm` (Z = X_0 by one uncompressed exchange).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

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
from hpcopt.solvers.parts.consensus_step import Gamma, check_gamma, resolve_gamma
from hpcopt.solvers.parts.gossip import Gossip, GossipSolver, GossipState, LocalGradient, check_descent
from hpcopt.solvers.parts.step_size import StepSize


@dataclass(kw_only=True)
class DeLiCoCoState(GossipState):
    """A node's model x (`w`), its public copy z, and s = sum_j w_ij z_j."""

    z: Vector  # (d,)
    s: Vector  # (d,)


@register("deli-coco")
@dataclass(frozen=True, kw_only=True)
class DeLiCoCo(GossipSolver[DeLiCoCoState]):
    """DeLi-CoCo: decentralised gradient descent with several compressed gossip steps per gradient step.

    Parameters
    ----------
    step_size
        eta: a number (0: gossip alone), a table { initial, decay, power }, "c/L" with L the largest smoothness of a
        node's objective, or "auto": 1/L.
    gossip_steps
        Q, compressed messages to each neighbour per gradient step.
    gamma
        Consensus step size in (0, 1]; "auto": found by a short trial of gossip alone; "theory": that of CHOCO-Gossip.
    compressor
        C, the compressor of the messages; contractive.
    batch
        Rows of each shard per gradient; 0 = all, as in the paper's theory.
    scatter
        Each node starts at its own w0 + scatter N(0, 1/d); 0: all start at w0.
    warm
        Whether Z starts at X_0, after one uncompressed exchange, instead of at 0.
    """

    needs = Needs(models="own", topology="graph", weights="symmetric", fixed_graph=True, compressor="contractive")
    paper = "Hashemi, Acharya, Das, Vikalo, Sanghavi, Dhillon 2022, arXiv 2011.10643"
    floor = "heterogeneous data: gap proportional to eta^2, and decreasing with Q"

    step_size: StepSize = "auto"
    gossip_steps: int = 1
    gamma: Gamma = "auto"
    compressor: Compressor = Identity()
    batch: int = 0
    scatter: float = 0.0
    warm: bool = False

    def __post_init__(self) -> None:
        check_descent(self.step_size or "auto", self.batch)  # 0 stands for gossip alone
        check_gamma(self.gamma)
        at_least(1, gossip_steps=self.gossip_steps)
        at_least(0, scatter=self.scatter)

    def init(self, node: Node, f: Oracle, w0: Vector) -> DeLiCoCoState:  # noqa: ARG002
        x = w0.copy()
        if self.scatter:
            x += self.scatter / np.sqrt(x.size) * node.draws(Draw.SCATTER).standard_normal(x.size)
        return DeLiCoCoState(w=x, z=np.zeros_like(x), s=np.zeros_like(x))

    def restarted(self, node: Node, f: Oracle, s: DeLiCoCoState) -> DeLiCoCoState:
        fresh = super().restarted(node, f, s)
        fresh.w = s.w.copy()  # not scattered again
        return fresh

    def rounds(self, node: Node, f: Oracle, s: DeLiCoCoState) -> Iterator[DeLiCoCoState]:
        gossip = Gossip(node, self.compressor, f.d)
        gradient = LocalGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s)
        gamma = s.gamma = s.gamma or resolve_gamma(self.gamma, node, gossip, self.compressor, f.d, s)
        if self.warm and s.steps == 0:
            _, s.s[:] = Gossip(node, Identity(), f.d).send(s.w, 0)  # S = X_0 W
            s.z[:] = s.w
        while True:
            if self.step_size:
                s.w = s.w - eta.sizes(s.steps, 1)[0] * gradient(
                    s.w, s.steps
                )  # X^(0) = X_{t-1}^(Q) - eta G(X_{t-1}^(Q))
            for q in range(self.gossip_steps):
                D, DW = gossip.send(s.w - s.z, s.steps * self.gossip_steps + q)  # D = C(X^(q) - Z^(q))
                s.s += DW  # S^(q+1) = S^(q) + D W
                s.z += D  # Z^(q+1) = Z^(q) + D
                s.w += gamma * (s.s - s.z)  # X^(q+1) = X^(q) + gamma (S^(q+1) - Z^(q+1))
            s.steps += 1
            yield s

    def exchanged(self, s: DeLiCoCoState, d: int) -> int:
        size = self.compressor.size(d)
        if size is None:
            return -1
        return (s.steps * self.gossip_steps + s.probed) * size + (8 * d if self.warm else 0)


@register("choco-sgd")
@dataclass(frozen=True, kw_only=True)
class ChocoSGD(DeLiCoCo):
    """CHOCO-SGD: DeLi-CoCo with one gossip step per gradient step.

    Parameters
    ----------
    gossip_steps
        Always 1.

    See `deli-coco` for the others.
    """

    paper = "Koloskova, Stich, Jaggi 2019, arXiv 1902.00340"

    gossip_steps: Literal[1] = 1


@register("choco-gossip")
@dataclass(frozen=True, kw_only=True)
class ChocoGossip(DeLiCoCo):
    """CHOCO-Gossip: compressed consensus; the nodes agree on the mean of their starting points; no objective.

    Parameters
    ----------
    step_size
        Always 0.
    scatter
        Standard deviation of the nodes' starting points, times sqrt(d).

    See `deli-coco` for the others.
    """

    paper = "Koloskova, Stich, Jaggi 2019, arXiv 1902.00340"
    floor = "does not minimise: the nodes agree on the mean of their starting points"
    minimises = False

    step_size: Literal[0] = 0
    scatter: float = 1.0
